// Lists of events and deliveries: the range of one's own, and the live tail.
(() => {
  "use strict";
  const EVERY_MS = 3000;
  const MOST_ROWS = 300;

  // The two fields show only where "From … to …" is chosen; without scripts, always.
  function showRange(select) {
    const own = select.value === "own";
    for (const field of select.form.querySelectorAll(".own-range")) {
      field.hidden = !own;
      for (const input of field.querySelectorAll("input")) input.disabled = !own;
    }
  }

  // Empty filters stay out of the URL, so that it can be shared.
  function dropEmpty(form) {
    const empty = [...form.elements].filter((each) => each.name && !each.value && !each.disabled);
    for (const each of empty) each.disabled = true;
    setTimeout(() => { for (const each of empty) each.disabled = false; }, 0);
  }

  function startTail(tail) {
    const button = document.getElementById("tail-button");
    const word = document.getElementById("tail-word");
    const told = document.getElementById("tail-told");
    let paused = false;

    function show() {
      button.setAttribute("aria-pressed", String(!paused));
      tail.classList.toggle("live-paused", paused);
      word.textContent = paused ? "Paused" : "Live";
    }

    button.hidden = false;
    button.addEventListener("click", () => {
      paused = !paused;
      show();
      if (!paused) htmx.trigger(tail, "tail");
    });
    setInterval(() => {
      // Nobody looks, or somebody is about to act on a row that would move.
      if (!paused && !document.hidden) htmx.trigger(tail, "tail");
    }, EVERY_MS);

    document.addEventListener("htmx:oobBeforeSwap", (event) => {
      if (event.detail.target?.id !== "delivery-rows") return;
      const rows = event.detail.fragment.querySelectorAll("tr[data-row]");
      let fresh = 0;
      for (const row of rows) {
        if (document.getElementById(row.id)) row.remove();
        else fresh += 1;
      }
      if (fresh) told.textContent = fresh === 1 ? "1 new delivery" : `${fresh} new deliveries`;
      keepPlace(event.detail.target);
    });
    document.addEventListener("htmx:oobAfterSwap", (event) => {
      if (event.detail.target?.id !== "delivery-rows") return;
      restorePlace();
      const rows = document.querySelectorAll("#delivery-rows > tr");
      for (const row of [...rows].slice(MOST_ROWS)) row.remove();
    });

    // Whoever has scrolled into the list goes on reading where they are.
    let anchor = null;
    let top = 0;
    function keepPlace(body) {
      anchor = [...body.rows].find((row) => row.getBoundingClientRect().bottom > 0);
      if (body.getBoundingClientRect().top > 0) anchor = null;
      top = anchor ? anchor.getBoundingClientRect().top : 0;
    }
    function restorePlace() {
      if (anchor) scrollBy({ top: anchor.getBoundingClientRect().top - top, behavior: "instant" });
    }
    show();
  }

  document.addEventListener("DOMContentLoaded", () => {
    for (const select of document.querySelectorAll("[data-range]")) {
      showRange(select);
      select.addEventListener("change", () => showRange(select));
    }
    for (const form of document.querySelectorAll("form.filters")) {
      form.addEventListener("submit", () => dropEmpty(form));
    }
    const tail = document.getElementById("tail");
    if (tail) startTail(tail);
  });
})();
