// Lists of events and deliveries: the range of one's own, and the live tail.
(() => {
  "use strict";
  const EVERY_MS = 3000;
  const MOST_ROWS = 300;
  const MOST_WATCHED = 50;

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
    let away = false;
    let going = null;

    function show() {
      button.setAttribute("aria-pressed", String(!paused));
      tail.classList.toggle("live-paused", paused || away);
      word.textContent = paused ? "Paused" : away ? "Cannot be reached, trying again" : "Live";
    }

    function asked() {
      const url = new URL(tail.dataset.tail, location.href);
      url.searchParams.set("newest", document.getElementById("tail-newest").value);
      for (const each of document.querySelectorAll("#delivery-rows [name=waiting]")) {
        url.searchParams.append("waiting", each.value);
        if (url.searchParams.getAll("waiting").length === MOST_WATCHED) break;
      }
      return url;
    }

    async function look() {
      if (going) return;
      going = new AbortController();
      try {
        const headers = { "HX-Request": "true", "HX-Current-URL": location.href };
        const answer = await fetch(asked(), { signal: going.signal, headers });
        const elsewhere = answer.headers.get("HX-Redirect");
        if (elsewhere) location.assign(elsewhere);
        else if (answer.headers.get("HX-Refresh")) location.reload();
        away = !answer.ok;
        const text = await answer.text();
        if (answer.ok && text && !paused) htmx.swap(tail, text, { swapStyle: "none" });
      } catch (error) {
        away = error.name !== "AbortError";
      } finally {
        going = null;
        show();
      }
    }

    button.hidden = false;
    button.addEventListener("click", () => {
      paused = !paused;
      show();
      if (!paused) look();
    });
    setInterval(() => {
      if (!paused && !document.hidden) look();
    }, EVERY_MS);
    addEventListener("pagehide", () => going?.abort());

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
