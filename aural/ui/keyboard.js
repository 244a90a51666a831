// Rows of tabs by the keyboard, as https://www.w3.org/WAI/ARIA/apg/patterns/tabs/ says: the arrow keys, Home and
// End open a tab, and the Tab key stops only at the open one. Gradio's tabs are plain buttons.
(() => {
  const ROW = '[role="tablist"]';
  const TAB = '[role="tab"]';
  // Not the copies by which Gradio measures how many tabs fit.
  const tabsOf = (row) =>
    [...row.querySelectorAll(TAB)].filter(
      (tab) => tab.closest(ROW) === row && !tab.disabled && !tab.closest('[aria-hidden="true"]') && tab.checkVisibility(),
    );

  const PLACES = {
    ArrowLeft: (place, count) => (place + count - 1) % count,
    ArrowRight: (place, count) => (place + 1) % count,
    Home: () => 0,
    End: (_, count) => count - 1,
  };
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    const row = event.target.matches?.(TAB) && event.target.closest(ROW);
    if (!row || !Object.hasOwn(PLACES, event.key)) return;
    const tabs = tabsOf(row);
    const next = tabs[PLACES[event.key](tabs.indexOf(event.target), tabs.length)];
    if (!next) return;
    event.preventDefault(); // no scrolling
    next.click();
    next.focus();
  });

  const markStops = () => {
    for (const row of document.querySelectorAll(ROW)) {
      const tabs = tabsOf(row);
      const stop = tabs.find((tab) => tab.ariaSelected === "true") ?? tabs[0];
      for (const tab of tabs) if (tab.tabIndex !== (tab === stop ? 0 : -1)) tab.tabIndex = tab === stop ? 0 : -1;
    }
  };
  let next = 0;
  const soon = () => { next ||= requestAnimationFrame(() => { next = 0; markStops(); }); };
  new MutationObserver(soon).observe(document.documentElement, {
    subtree: true, childList: true, attributeFilter: ["aria-selected"],
  });
  window.addEventListener("resize", soon);
})();
