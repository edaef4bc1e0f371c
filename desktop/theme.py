"""Colours, sizes and the style sheet: dark, so that the picture is the brightest thing on the screen."""

from __future__ import annotations

from desktop.session.verdicts import State

GROUND, PANEL, HAIRLINE = "#0E1116", "#161B22", "#262C36"
TEXT, MUTED, ACCENT = "#D7DEE8", "#8B98A9", "#4CC2FF"
LESION, TRUTH, RULER = "#FFB000", "#4CC2FF", "#F5E663"
GREEN, RED, AMBER = "#3FB96B", "#F2616B", "#FFB000"
RAISED, PRESSED = "#1E2530", "#243041"

LEFT_PX, RIGHT_PX, RADIUS_PX = 232, 300, 6

STATE_COLOURS = {
    State.TODO: MUTED,
    State.REOPENED: ACCENT,
    State.ACCEPTED: GREEN,
    State.REJECTED: RED,
    State.FLAGGED: AMBER,
}

STYLE = f"""
QWidget {{ background: {GROUND}; color: {TEXT}; font-size: 13px; }}
QMainWindow::separator {{ background: {HAIRLINE}; width: 1px; }}
#panel, #panel QWidget {{ background: {PANEL}; }}
#left {{ border-right: 1px solid {HAIRLINE}; }} #right {{ border-left: 1px solid {HAIRLINE}; }}
QLabel#heading {{ color: {MUTED}; font-size: 11px; font-weight: 600; }}
QLabel#muted {{ color: {MUTED}; }}
QLabel#notice {{ background: #2B2413; color: #FFD27A; border-radius: {RADIUS_PX}px; padding: 8px 12px; }}
QLineEdit, QPlainTextEdit, QComboBox, #panel QLineEdit, #panel QPlainTextEdit, #panel QComboBox {{
    background: {GROUND}; border: 1px solid {HAIRLINE}; border-radius: {RADIUS_PX}px; padding: 5px 8px;
    selection-background-color: #1F5673; }}
QLineEdit:focus, QPlainTextEdit:focus, QComboBox:focus {{ border-color: {ACCENT}; }}
QComboBox::drop-down {{ border: none; width: 22px; }}
QComboBox QAbstractItemView {{
    background: {PANEL}; border: 1px solid {HAIRLINE}; selection-background-color: {PRESSED}; }}
QPushButton, #panel QPushButton {{
    background: {RAISED}; border: 1px solid {HAIRLINE}; border-radius: {RADIUS_PX}px; padding: 6px 10px; }}
QPushButton:hover {{ border-color: {MUTED}; }} QPushButton:pressed {{ background: {PRESSED}; }}
QPushButton:checked {{ border-color: {ACCENT}; color: {ACCENT}; background: #14283A; }}
QPushButton:focus, QPushButton#primary:focus {{ border-color: {TEXT}; }}
QPushButton:disabled {{ color: #566273; }}
QPushButton#primary {{ background: #14283A; border-color: {ACCENT}; color: {ACCENT}; padding: 10px 20px; }}
QPushButton#chip {{ padding: 3px 8px; border-radius: 11px; font-size: 12px; }}
QListView, QTableView {{ background: {PANEL}; border: none; outline: none; gridline-color: {HAIRLINE}; }}
QTableView::item {{ padding: 0 4px; border: none; }}
QTableView::item:selected {{ background: {PRESSED}; color: {TEXT}; }}
QHeaderView::section {{ background: {PANEL}; color: {MUTED}; border: none; padding: 2px 4px; font-size: 11px; }}
QSlider::groove:horizontal {{ height: 4px; background: {HAIRLINE}; border-radius: 2px; }}
QSlider::sub-page:horizontal {{ background: #2F7FA8; border-radius: 2px; }}
QSlider::handle:horizontal {{ width: 14px; margin: -5px 0; border-radius: 7px; background: {TEXT}; }}
QSlider::handle:horizontal:focus {{ background: {ACCENT}; }}
QSlider::sub-page:horizontal:disabled, QSlider::handle:horizontal:disabled {{ background: {HAIRLINE}; }}
QCheckBox::indicator {{
    width: 14px; height: 14px; border: 1px solid {MUTED}; border-radius: 3px; background: {GROUND}; }}
QCheckBox::indicator:checked {{ background: {ACCENT}; border-color: {ACCENT}; }}
QCheckBox:disabled {{ color: #566273; }}
QProgressBar {{ background: {HAIRLINE}; border: none; border-radius: 3px; height: 6px; }}
QProgressBar::chunk {{ background: {ACCENT}; border-radius: 3px; }}
QMenuBar, QMenu {{ background: {PANEL}; }} QMenuBar::item:selected, QMenu::item:selected {{ background: {PRESSED}; }}
QMenu {{ border: 1px solid {HAIRLINE}; padding: 4px; }} QMenu::item {{ padding: 5px 20px 5px 12px; }}
QMenu::item:disabled {{ color: #566273; }}
QToolTip {{ background: {RAISED}; color: {TEXT}; border: 1px solid {HAIRLINE}; padding: 4px; }}
QScrollBar:vertical {{ background: transparent; width: 8px; }}
QScrollBar::handle:vertical {{ background: #394252; border-radius: 4px; min-height: 24px; }}
QScrollBar::add-line, QScrollBar::sub-line {{ height: 0; }}
"""
