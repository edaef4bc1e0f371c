"""The page that one shows to others: it calls core directly, and a link to it can be sent."""
