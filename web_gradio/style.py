"""How the page looks: light and dark, wide and narrow; no font and no picture from elsewhere."""

from __future__ import annotations

import gradio as gr
from gradio.themes.utils.colors import Color

TEAL = Color(
    c50="#effafd", c100="#d7f1f9", c200="#b0e3f2", c300="#7dcfe7", c400="#42b3d5", c500="#1a94bb", c600="#0b6e8f",
    c700="#0a5f7d", c800="#0c4d65", c900="#0f4154", c950="#082a38", name="teal",
)  # fmt: skip
GREY = Color(
    c50="#f7f7f4", c100="#eeefec", c200="#dfe1dd", c300="#c6cac8", c400="#9aa3ab", c500="#6b747c", c600="#525a61",
    c700="#3a4046", c800="#23282c", c900="#1a1d20", c950="#121416", name="grey",
)  # fmt: skip
SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
MONO = ("ui-monospace", "SF Mono", "Menlo", "Consolas", "monospace")


def make_theme() -> gr.themes.Base:
    """The page's colours, and the visitor's own fonts."""
    return gr.themes.Base(primary_hue=TEAL, secondary_hue=TEAL, neutral_hue=GREY, font=SANS, font_mono=MONO).set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        block_background_fill="white",
        block_background_fill_dark="*neutral_900",
        block_border_width="1px",
        block_radius="10px",
        block_shadow="none",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_label_border_width="0px",
        block_title_text_weight="500",
        block_title_text_color="*body_text_color",
        block_title_text_color_dark="*body_text_color",
        body_text_color="#1c2024",
        body_text_color_dark="#e8eaec",
        body_text_color_subdued="#5b636b",
        body_text_color_subdued_dark="#9aa3ab",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover_dark="*primary_500",
        button_primary_text_color="white",
        slider_color="*primary_600",
        slider_color_dark="*primary_400",
        link_text_color="*primary_700",
        link_text_color_dark="*primary_300",
    )


STYLE = """
.gradio-container { width: 100% !important; max-width: min(1320px, 100vw) !important; margin: 0 auto !important;
  padding: 0 !important; overflow: visible !important; }
.gradio-container .main { padding: 0 clamp(12px, 2.5vw, 24px) !important; }
.html-container { padding: 0 !important; }
.prose { color: inherit; }
.top { padding: 22px 0 14px; display: flex; flex-wrap: wrap; align-items: baseline; gap: 2px 14px; }
.top h1 { margin: 0; font-size: 1.7rem; line-height: 1.2; letter-spacing: -.02em; font-weight: 650; }
.top p { margin: 0; font-size: 1.02rem; color: var(--body-text-color-subdued); }
.top .caution { flex-basis: 100%; margin-top: 8px; padding: 8px 12px; border-radius: 8px; font-size: .9rem;
  background: #fff3d6; color: #5a4300; }
.dark .top .caution { background: #33290f; color: #f4dd9f; }
.limits { margin: 0 !important; padding: 0 4px 0 20px; font-size: .84rem; line-height: 1.4;
  color: var(--body-text-color-subdued); }
#status { min-height: 0; }
.empty, .headline, .working, .trouble { padding: 14px 16px; border-radius: 10px;
  background: var(--block-background-fill); border: 1px solid var(--block-border-color); }
.empty { padding: 56px 20px; text-align: center; color: var(--body-text-color-subdued); border-style: dashed; }
.empty p, .headline p, .working p, .trouble p { margin: 0; }
.empty p + p { margin-top: 6px; }
.headline { display: grid; grid-template-columns: 1fr auto; gap: 2px 14px; align-items: baseline; }
.headline .found { font-size: 1.25rem; font-weight: 650; }
.headline .name { font-size: .9rem; color: var(--body-text-color-subdued); overflow-wrap: anywhere; text-align: right; }
.headline .facts { grid-column: 1 / -1; font-size: .92rem; color: var(--body-text-color-subdued);
  font-variant-numeric: tabular-nums; }
.headline ul { grid-column: 1 / -1; margin: 8px 0 0; padding: 8px 12px 8px 28px; border-radius: 8px; font-size: .88rem;
  background: #fff3d6; color: #5a4300; }
.dark .headline ul { background: #33290f; color: #f4dd9f; }
.trouble { border-color: #c0392b; background: #fdeeec; color: #7a1f14; }
.dark .trouble { background: #331512; color: #f5b7ae; }
.working progress { width: 100%; height: 8px; margin-top: 10px; border: 0; border-radius: 4px; overflow: hidden;
  appearance: none; background: var(--neutral-200); color: var(--primary-600); }
.dark .working progress { background: var(--neutral-700); }
.working progress::-webkit-progress-bar { background: transparent; }
.working progress::-webkit-progress-value { background: var(--primary-600); transition: width .2s; }
.working progress::-moz-progress-bar { background: var(--primary-600); }
.working progress:indeterminate { background: linear-gradient(90deg, var(--neutral-200) 35%, var(--primary-400) 50%,
  var(--neutral-200) 65%) 0 0 / 300% 100%; animation: sliding 1.4s linear infinite; }
@keyframes sliding { from { background-position: 100% 0; } to { background-position: 0 0; } }
.where { margin: 6px 0 26px; font-size: .84rem; color: var(--body-text-color-subdued); }
.title { margin: 2px 2px -6px; font-size: .9rem; color: var(--body-text-color-subdued); }
.heads .grid-wrap { height: auto !important; max-height: none !important; min-height: 0 !important; overflow: visible;
  padding: 8px !important; }
.heads .grid-container { grid-template-columns: repeat(4, minmax(0, 1fr)) !important; gap: 8px !important;
  padding: 0 !important; }
.heads .gallery-item, .heads .thumbnail-item { width: 100% !important; min-width: 0 !important; height: auto !important;
  aspect-ratio: 1; }
.heads .caption-label { inset: auto 0 0 0 !important; max-width: none; width: 100%; padding: 1px 4px !important;
  border: 0 !important; border-radius: 0 !important; text-align: center; font-size: .72rem !important;
  background: rgb(0 0 0 / 65%) !important; color: #fff !important; }
.showing, .showing .column { min-width: 0 !important; }
@media (max-width: 860px) { .page { flex-direction: column; } .page > .column { width: 100%; flex: none !important; } }
.table-wrap * { font-family: var(--font) !important; font-variant-numeric: tabular-nums; }
#lesions .body-cell *, #cases .body-cell * { cursor: pointer; }
@media (max-width: 640px) {
  .pictures { flex-direction: column; }
  .pictures > .column { width: 100%; flex: none !important; }
  .top { padding: 14px 0 8px; }
  .empty { padding: 28px 16px; }
  .headline { grid-template-columns: 1fr; }
  .headline .name { text-align: left; }
}
"""
