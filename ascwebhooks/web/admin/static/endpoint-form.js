// Rows of headers that come and go. Without it the form has one empty row.
(() => {
  "use strict";

  function number(rows) {
    rows.querySelectorAll(".header-row").forEach((row, n) => {
      const [name, value] = row.querySelectorAll("input");
      name.setAttribute("aria-label", `Name of header ${n + 1}`);
      value.setAttribute("aria-label", `Value of header ${n + 1}`);
      row.querySelector("button").setAttribute("aria-label", `Remove header ${n + 1}`);
    });
  }

  function blank(row) {
    const [name, value] = row.querySelectorAll("input");
    name.value = value.value = "";
    value.placeholder = "Value";
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-adds-row], [data-removes-row]");
    if (!button) return;
    const rows = button.closest("fieldset").querySelector("[data-rows]");
    const last = rows.lastElementChild;
    if (button.dataset.addsRow !== undefined) {
      const row = last.cloneNode(true);
      blank(row);
      rows.append(row);
      row.querySelector("input").focus();
    } else if (rows.children.length > 1) {
      button.closest(".header-row").remove();
    } else {
      blank(last);
    }
    number(rows);
  });
  // Lines that drafts.js has added.
  document.addEventListener("lines", (event) => number(event.target.closest("[data-rows]")));
})();
