"""The look of the app: one theme for light and dark pages, one accent colour, fonts that are already there.

Nothing here makes the browser ask another host: Gradio loads a web font only for font objects, not for names.
Texts keep a contrast of at least 4.5 : 1 (WCAG 2.2, level AA) in both modes.
"""

from __future__ import annotations

import gradio as gr
from gradio.themes.utils import colors

# The accent is teal: dark enough for white letters on a light page (5.5 : 1), its light tone for a dark page.
ACCENT_ON_LIGHT = colors.teal.c700
ACCENT_ON_DARK = colors.teal.c400
ACCENT_TINT_ON_DARK = "#12332f"

SANS = ["ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "sans-serif"]
MONO = ["ui-monospace", "SFMono-Regular", "Consolas", "Menlo", "DejaVu Sans Mono", "monospace"]

HEADER = """
<header class="aural-header">
  <svg viewBox="0 0 40 40" aria-hidden="true">
    <path d="M4 20h3M11 13v14M17 6v28M23 11v18M29 15v10M33 20h3"/>
  </svg>
  <div><h1>AURAL</h1><p>Make audio sound better</p></div>
</header>
"""

CSS = """
.gradio-container { width: 100% !important; max-width: 1240px !important; margin: 0 auto !important; }
.gradio-container > .main { max-width: none !important; padding: 16px 24px !important; }
.hide-container > .html-container { padding: 0 !important; }
.aural-header { display: flex; align-items: center; gap: 14px; padding: 4px 0; }
.aural-header svg {
  width: 42px; height: 42px; flex: none; fill: none;
  stroke: var(--color-accent); stroke-width: 3; stroke-linecap: round;
}
.aural-header h1 {
  margin: 0 !important; font-size: 24px; font-weight: 700; letter-spacing: 0.16em; line-height: 1.1;
}
.aural-header p { margin: 3px 0 0 !important; font-size: 14px; color: var(--body-text-color-subdued); }
table, input[type="number"] { font-variant-numeric: tabular-nums; }
.prose table :is(th, td) {
  border-color: var(--border-color-primary) !important; padding: 6px 12px !important;
}
:is(button, a, input, select, textarea, summary, [tabindex]):focus-visible {
  outline: 2px solid var(--color-accent) !important; outline-offset: 2px;
}
.aural-table { overflow-x: auto; }
.aural-table caption { text-align: start; font-weight: 600; padding: 6px 0; }
.aural-table th[scope="row"] { min-width: 9em; overflow-wrap: anywhere; }
.aural-table :is(td, thead th:not(:first-child)) { text-align: end; }
.aural-picture .image-container { padding-top: 36px; background: #131417; }
.aural-table td.words { text-align: start; }
@media (max-width: 640px) {
  .gradio-container > .main { padding: 12px !important; }
  /* All tabs fit, and none hides in a menu: long names stand in two lines. */
  .tab-container { height: 40px !important; }
  .tab-container button {
    flex: none !important; max-width: 84px !important; height: 40px !important; padding: 0 4px !important;
    font-size: 13px !important; line-height: 1.2 !important; white-space: normal !important;
  }
  .prose table :is(th, td) { padding: 6px 8px !important; }
}
@media (prefers-reduced-motion: reduce) {
  * { transition: none !important; animation-duration: 0.01ms !important; }
}
"""


class Studio(gr.themes.Base):
    """The theme for `launch(theme=Studio())`; hand `CSS` to `launch(css=...)` beside it."""

    def __init__(self) -> None:
        super().__init__(
            primary_hue=colors.teal,
            secondary_hue=colors.teal,
            neutral_hue=colors.zinc,
            font=SANS,
            font_mono=MONO,
        )
        self.name = "aural"
        # `set` has no parameter for the accent of a dark page, but every "_dark" attribute gets there.
        self.color_accent_dark = ACCENT_ON_DARK
        self.set(
            body_background_fill="*neutral_50",
            body_background_fill_dark="*neutral_950",
            body_text_color="*neutral_900",
            body_text_color_dark="*neutral_100",
            body_text_color_subdued="*neutral_600",
            body_text_color_subdued_dark="*neutral_400",
            background_fill_primary_dark="*neutral_900",
            background_fill_secondary="*neutral_100",
            background_fill_secondary_dark="*neutral_950",
            border_color_primary_dark="*neutral_700",
            border_color_accent=ACCENT_ON_LIGHT,
            border_color_accent_dark=ACCENT_ON_DARK,
            color_accent=ACCENT_ON_LIGHT,
            color_accent_soft="*primary_50",
            color_accent_soft_dark=ACCENT_TINT_ON_DARK,
            link_text_color=ACCENT_ON_LIGHT,
            link_text_color_dark=ACCENT_ON_DARK,
            link_text_color_hover="*primary_800",
            link_text_color_hover_dark="*primary_300",
            link_text_color_active="*primary_800",
            link_text_color_active_dark="*primary_300",
            link_text_color_visited=ACCENT_ON_LIGHT,
            link_text_color_visited_dark=ACCENT_ON_DARK,
            block_background_fill_dark="*neutral_900",
            block_label_text_color="*neutral_600",
            block_label_text_color_dark="*neutral_300",
            block_title_text_color="*neutral_800",
            block_title_text_color_dark="*neutral_100",
            block_title_text_weight="600",
            block_title_text_size="*text_sm",
            input_background_fill="white",
            input_background_fill_dark="*neutral_950",
            input_border_width="1px",
            input_border_color="*neutral_300",
            input_border_color_dark="*neutral_600",
            input_border_color_focus=ACCENT_ON_LIGHT,
            input_border_color_focus_dark=ACCENT_ON_DARK,
            input_placeholder_color="*neutral_500",
            input_placeholder_color_dark="*neutral_400",
            checkbox_border_color="*neutral_500",
            checkbox_border_color_dark="*neutral_500",
            checkbox_background_color_selected=ACCENT_ON_LIGHT,
            checkbox_background_color_selected_dark="*primary_600",
            checkbox_label_background_fill="white",
            checkbox_label_background_fill_dark="*neutral_900",
            checkbox_label_background_fill_selected="*primary_50",
            checkbox_label_background_fill_selected_dark=ACCENT_TINT_ON_DARK,
            checkbox_label_border_color="*neutral_300",
            checkbox_label_border_color_dark="*neutral_600",
            table_even_background_fill_dark="*neutral_900",
            table_odd_background_fill_dark="*neutral_950",
            button_border_width="1px",
            button_primary_background_fill=ACCENT_ON_LIGHT,
            button_primary_background_fill_dark="*primary_500",
            button_primary_background_fill_hover="*primary_800",
            button_primary_background_fill_hover_dark="*primary_400",
            button_primary_border_color=ACCENT_ON_LIGHT,
            button_primary_border_color_dark="*primary_500",
            button_primary_text_color="white",
            button_primary_text_color_dark="*neutral_950",
            button_secondary_background_fill="white",
            button_secondary_background_fill_dark="*neutral_800",
            button_secondary_background_fill_hover="*neutral_100",
            button_secondary_background_fill_hover_dark="*neutral_700",
            button_secondary_border_color="*neutral_300",
            button_secondary_border_color_dark="*neutral_600",
            button_secondary_text_color="*neutral_900",
            button_secondary_text_color_dark="*neutral_100",
            button_cancel_border_color="*neutral_300",
            button_cancel_border_color_dark="*neutral_600",
            button_large_text_size="*text_md",
        )
