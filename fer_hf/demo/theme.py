"""The look of the page: fonts of the visitor's system, light and dark, made for keyboards, too."""

import gradio as gr

CSS = """
.dark { --color-accent: var(--primary-400); }
.fer-header h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .25rem; }
.fer-header p { margin: 0; max-width: 48rem; }
.fer-note { color: var(--body-text-color-subdued); font-size: .9rem; }
.fer-legend { display: flex; align-items: center; gap: .75rem; }
.fer-legend [aria-hidden] {
  flex: 1; height: .75rem; border-radius: 99px; border: 1px solid var(--border-color-primary);
}
.fer-about { max-width: 48rem; }
.fer-about table { width: 100%; }
.fer-about :is(th, td) { word-break: normal; overflow-wrap: normal; padding: .25rem .5rem; }
:is(a, button, input, textarea, select, summary, [role], [tabindex]):focus-visible {
  outline: 3px solid var(--color-accent) !important;
  outline-offset: 2px !important;
}
@media (max-width: 640px) {
  .gradio-container .main.fillable { padding: .5rem !important; }
  .fer-header h1 { font-size: 1.375rem; }
}
"""

# The keys that tabs have by the ARIA Authoring Practices Guide; Gradio's know Tab and Enter.
TAB_KEYS = """() => document.addEventListener("keydown", (event) => {
  const tab = event.target.closest?.("[role=tab]");
  if (!tab) return;
  const tabs = [...tab.closest("[role=tablist]").querySelectorAll("[role=tab]")];
  const at = tabs.indexOf(tab), last = tabs.length - 1;
  const next = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: last }[event.key];
  if (next === undefined) return;
  event.preventDefault();
  const chosen = tabs.at(next > last ? 0 : next);
  chosen.focus();
  chosen.click();
})"""


def build_theme() -> gr.themes.Base:
    """Return the theme: calm colours, and no font that a server would have to be asked for."""
    return gr.themes.Base(
        primary_hue=gr.themes.colors.teal,
        secondary_hue=gr.themes.colors.teal,
        neutral_hue=gr.themes.colors.stone,
        radius_size=gr.themes.sizes.radius_lg,
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    ).set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        block_background_fill="white",
        block_background_fill_dark="*neutral_900",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        # White on it has a contrast of 5.5, on the usual 500 of 2.5.
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_hover_dark="*primary_600",
        button_primary_text_color="white",
        color_accent="*primary_700",
        checkbox_border_color="*neutral_500",
        checkbox_border_color_dark="*neutral_400",
        link_text_color="*primary_700",
        link_text_color_dark="*primary_300",
    )
