() => {
  // The keys that tabs have by the ARIA Authoring Practices Guide; Gradio's know Tab and Enter.
  document.addEventListener("keydown", (event) => {
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
  });
  document.documentElement.dataset.keys = "ready"; // what tests wait for
}
