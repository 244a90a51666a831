"""The look of the app: a theme for light and dark pages, one accent colour, system fonts.

The browser contacts no other host: Gradio loads web fonts only for font objects, not for names. Text has a
contrast of at least 4.5 : 1 (WCAG 2.2, level AA) in both modes.
"""

from __future__ import annotations

import gradio as gr
from gradio.themes.utils import colors

# The accent is teal: a dark tone with white letters on a light page (5.5 : 1), a light tone on a dark page.
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

# Adds what screen readers need and Gradio omits: alternative texts, names, states, and hidden icons.
HEAD = """
<script>
(() => {
  const say = (node, attribute, text) => {
    if (text && node.getAttribute(attribute) !== text) node.setAttribute(attribute, text);
  };
  const label = (node, part) => node.closest(".block").querySelector(part)?.textContent.trim();
  const each = (selector, action) => document.querySelectorAll(selector).forEach(action);
  const sayAll = () => {
    each(".block img", (node) => say(node, "alt", label(node, '[data-testid="block-label"]')));
    each("fieldset.block", (node) => say(node, "aria-label", label(node, '[data-testid="block-info"]')));
    each(".label-wrap", (node) => say(node, "aria-expanded", String(node.classList.contains("open"))));
    each(".label-wrap > .icon, svg:not([role], [aria-label])", (node) => say(node, "aria-hidden", "true"));
  };
  let next = 0;
  const soon = () => { next ||= requestAnimationFrame(() => { next = 0; sayAll(); }); };
  new MutationObserver(soon).observe(document.documentElement, {
    subtree: true, childList: true, attributeFilter: ["class"],
  });
})();
</script>
"""

# In the page itself: Gradio adds the rest once the page stands, which would then move.
FRAME = """
.gradio-container { width: 100% !important; max-width: 1240px !important; margin: 0 auto !important; }
"""

CSS = """
/* "hidden" would be a box of its own to scroll in, and nothing in it could stick to the window. */
.gradio-container { overflow: clip !important; }
.gradio-container > .main {
  max-width: none !important; padding: clamp(12px, 2vw, 16px) clamp(12px, 3vw, 24px) !important;
}
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
.aural-table + p { margin-top: 8px; }
.aural-table caption { text-align: start; font-weight: 600; padding: 6px 0; }
.aural-table th[scope="row"] { min-width: 10em; overflow-wrap: anywhere; }
.aural-table :is(td, thead th:not(:first-child)) { text-align: end; }
.aural-picture .image-container { padding-top: 36px; background: #131417; }
.aural-table td { white-space: nowrap; }
.aural-table :is(td, td:not(:first-child)).words { text-align: start; white-space: normal; min-width: 14em; }
.aural-table:has(td.words:nth-child(n + 3):last-child) :is(td, th):last-child {
  text-align: start !important;
}
.aural-notice p {
  border: 1px solid var(--color-accent); border-radius: 8px; padding: 8px 12px;
  background: var(--color-accent-soft);
}
/* Dashed: filled once there is a result. */
.block > .empty { min-height: 96px !important; }
.block > .empty svg { display: none; }
.block:has(> .empty), .gradio-container button:is(.primary, .secondary):disabled {
  border-style: dashed !important;
}
.block:has(> .empty) { background: transparent; }
.gradio-container button:is(.primary, .secondary):disabled {
  opacity: 1; background: transparent;
  border-color: var(--border-color-primary); color: var(--body-text-color-subdued);
}
/* An empty text leaves no gap, unless it shows a run's progress. */
.form:empty,
.block:has(> [data-testid="markdown-wrapper"] .md:empty):not(:has(> .wrap:not(.hide))),
.block:has(> .html-container > :empty):not(:has(> .wrap:not(.hide))) {
  display: none;
}
/* How a file comes into an empty field, in words. */
.audio-container:has(> .upload-container) > .source-selection {
  height: auto; min-height: 68px; gap: 12px; padding: 12px; border-top: 0; flex-wrap: wrap;
}
.audio-container:has(> .upload-container) > .source-selection > button[data-source] {
  display: inline-flex; align-items: center; gap: 10px; width: auto; height: auto; min-height: 44px;
  padding: 8px 20px; border: 1px solid var(--border-color-primary); border-radius: 8px; font-weight: 600;
  color: var(--body-text-color); background: var(--button-secondary-background-fill);
}
.audio-container > .source-selection > button[data-source] > svg { width: 18px; height: 18px; flex: none; }
.audio-container:has(> .upload-container) > .source-selection > button[data-source]::after {
  content: attr(aria-label);
}
.row > .form > fieldset { min-width: 100% !important; }
.gr-accordion .form { border: 0 !important; box-shadow: none; background: transparent; }
.gr-accordion .form > .block { padding-inline: 0 !important; }
.gr-accordion .row > .form { column-gap: 16px; }
/* Number fields side by side are aligned, however long their labels are. */
.row > .form > .block > label:has(> input[type="number"]) {
  display: flex; flex-direction: column; height: 100%;
}
.row > .form > .block > label > input[type="number"] { margin-top: auto; }
.gr-accordion .label-wrap > span:first-child { text-align: start; }
input[type="range"]:not(.ab-seek)::-webkit-slider-thumb { border: 2px solid var(--color-accent); }
input[type="range"]:not(.ab-seek)::-moz-range-thumb { border: 2px solid var(--color-accent); }
.audio-container, .component-wrapper { --neutral-400: var(--body-text-color-subdued); }
.dark input[type="range"] { --neutral-200: var(--neutral-600); }
.json-node {
  --key-color: var(--body-text-color); --text-color: var(--link-text-color);
  --string-color: var(--link-text-color); --number-color: var(--link-text-color);
  --bracket-color: var(--body-text-color-subdued); --square-bracket-color: var(--body-text-color-subdued);
  --punctuation-color: var(--body-text-color-subdued); --line-number-color: var(--body-text-color-subdued);
}
.aural-run { align-items: stretch; }
.aural-run > * { flex: 1 !important; }
/* In a row narrower than 420 pixels the other buttons wrap below. */
.aural-run > :is(.primary, .stop) { flex: 3 1 calc((420px - 100%) * 999) !important; max-width: 100%; }
.aural-expected { font-size: 13px; color: var(--body-text-color-subdued); }
.aural-expected:not(:has(*)) { display: none; }
.aural-picture:not(:has(img)) + .aural-axis { display: none; }
.block:has(.ab[data-state="empty"]) + .aural-takes:not(:has(input[type="checkbox"])) { display: none; }
.aural-spoken { position: fixed; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.aural-line:not(:has(p), :has(> .wrap:not(.hide))) { display: none; }
.aural-line:has(> .wrap:not(.hide)) { min-height: 96px; }
.aural-line p { font-size: 13px; color: var(--body-text-color-subdued); overflow-wrap: anywhere; }
.aural-line strong { color: var(--body-text-color); }
/* A result that belongs to another file or other settings. */
.aural-line:has(.aural-stale) ~ * { opacity: 0.45; transition: opacity 0.2s; }
.aural-line:has(.aural-stale) ~ :is(:hover, :focus-within) { opacity: 1; }
.aural-sending { align-items: center; gap: 8px !important; flex-wrap: wrap; }
.aural-sending > * { flex: none !important; width: auto !important; min-height: 32px; }
/* Gradio adds no rule for the page around the tabs here, and cuts a list in a selector at its commas. */
@media (max-width: 640px) {
  /* Long names wrap, so that all tabs fit. Gradio moves tabs into a menu if their hidden copies don't fit. */
  .tab-wrapper { height: auto !important; }
  .tab-container { height: auto !important; flex-wrap: wrap; }
  .tab-container button {
    flex: 0 1 auto !important; max-width: 84px !important; height: 40px !important; padding: 0 3px !important;
    font-size: 13px !important; line-height: 1.2 !important; white-space: normal !important;
  }
  .tab-container.visually-hidden button { max-width: 9px !important; }
  .prose table th { padding: 6px 8px !important; font-size: 14px; }
  .prose table td { padding: 6px 8px !important; font-size: 14px; }
  .form > .block:has(> .checkbox-container) { min-width: 100% !important; }
  .row > button.lg { padding-inline: 4px; white-space: nowrap; }
  .aural-picture [data-testid="block-label"] > span { display: none; }
}
@media (prefers-reduced-motion: reduce) {
  *, ::before, ::after { transition: none !important; animation-duration: 0.01ms !important; }
}
"""


class Studio(gr.themes.Base):
    """The theme for `launch(theme=Studio())`; hand `CSS` and `HEAD` to `launch(css=..., head=...)`."""

    def __init__(self) -> None:
        super().__init__(
            primary_hue=colors.teal,
            secondary_hue=colors.teal,
            neutral_hue=colors.zinc,
            font=SANS,
            font_mono=MONO,
        )
        self.name = "aural"
        # `set` has no parameter for the accent of a dark page, but every "_dark" attribute is used.
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
