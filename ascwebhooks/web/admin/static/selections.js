// Lists to choose from: all on the page at once, and how many are chosen.
(() => {
  "use strict";
  function update(form) {
    const boxes = [...form.querySelectorAll("tbody input[type=checkbox]")];
    const chosen = boxes.filter((box) => box.checked).length;
    const all = form.querySelector("[data-select-all]");
    if (all) {
      all.checked = chosen > 0 && chosen === boxes.length;
      all.indeterminate = chosen > 0 && chosen < boxes.length;
    }
    const told = form.querySelector("[data-selected-count]");
    if (told) told.textContent = chosen ? `${chosen} selected` : "";
    for (const button of form.querySelectorAll("[data-needs-selection]")) {
      button.disabled = chosen === 0;
    }
  }
  document.addEventListener("change", (event) => {
    const form = event.target.closest?.("form[data-selection]");
    if (!form) return;
    if (event.target.dataset.selectAll !== undefined) {
      for (const box of form.querySelectorAll("tbody input[type=checkbox]")) {
        box.checked = event.target.checked;
      }
    }
    update(form);
  });
  function updateAll() {
    for (const form of document.querySelectorAll("form[data-selection]")) update(form);
  }
  document.addEventListener("news:shown", updateAll);
  // Also after the browser went back: it keeps what was ticked.
  addEventListener("pageshow", updateAll);
})();
