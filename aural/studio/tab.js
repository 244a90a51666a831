// What Studio does in the browser: from the result back to what one changes, and several files dropped at once.
window.auralStudio = (() => {
  const BATCH = "batch";
  const copy = () => document.getElementById("copy-release");

  const goTo = (id) => {
    const field = document.getElementById(id);
    field.scrollIntoView({ block: "center" });
    field.querySelector("input").focus({ preventScroll: true });
  };

  // Says what the button for the link says.
  const share = async () => {
    const before = copy().textContent;
    copy().click();
    for (let tries = 0; tries < 40 && copy().textContent === before; tries++)
      await new Promise((done) => setTimeout(done, 50));
    return copy().textContent.trim();
  };
  const shared = () => new Promise((done) => setTimeout(() => done("Share"), 2000));

  // The field takes one file; several become a batch.
  document.addEventListener("drop", (event) => {
    const files = event.dataTransfer?.files;
    if (!event.target.closest?.("#studio-drop") || !(files?.length > 1)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const given = new DataTransfer();
    for (const file of files) given.items.add(file);
    document.querySelector(`button[role="tab"][data-tab-id="${BATCH}"]`)?.click();
    const hand = (tries) => {
      const input = document.querySelector('#batch-files input[type="file"]');
      if (input) {
        input.files = given.files;
        input.dispatchEvent(new Event("change", { bubbles: true }));
      } else if (tries) requestAnimationFrame(() => hand(tries - 1));
    };
    requestAnimationFrame(() => hand(120));
  }, true);

  return { goTo, share, shared };
})();
