// Lists of events and deliveries: the range of one's own, and the live tail.
(() => {
  "use strict";
  const EVERY_MS = 3000;
  // A look that takes long is asked for less often: one tab takes no more than a fortieth
  // of the server's time, until that would leave its page behind for too long.
  const REST = 40;
  const LONGEST_REST_MS = 30000;
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
    let next = 0;

    function show() {
      button.setAttribute("aria-pressed", String(!paused));
      tail.classList.toggle("live-paused", paused || away);
      word.textContent = paused ? "Paused" : away ? "Cannot be reached, trying again" : "Live";
    }

    function asked() {
      const url = new URL(tail.dataset.tail, location.href);
      for (const name of ["newest", "version"]) {
        const value = document.getElementById(`tail-${name}`)?.value;
        if (value) url.searchParams.set(name, value);
      }
      for (const each of document.querySelectorAll("#delivery-rows [name=waiting]")) {
        url.searchParams.append("waiting", each.value);
        if (url.searchParams.getAll("waiting").length === MOST_WATCHED) break;
      }
      return url;
    }

    // Lists other than that of deliveries take their news themselves (news.js).
    function hand(text) {
      const news = new CustomEvent("tail:news", { bubbles: true, cancelable: true, detail: text });
      if (tail.dispatchEvent(news) && text) htmx.swap(tail, text, { swapStyle: "none" });
    }

    async function look() {
      if (going) return;
      going = new AbortController();
      const began = performance.now();
      try {
        const headers = { "HX-Request": "true", "HX-Current-URL": location.href };
        const answer = await fetch(asked(), { signal: going.signal, headers });
        const elsewhere = answer.headers.get("HX-Redirect");
        if (elsewhere) location.assign(elsewhere);
        else if (answer.headers.get("HX-Refresh")) location.reload();
        away = !answer.ok;
        const text = await answer.text();
        if (answer.ok && !paused) hand(text);
      } catch (error) {
        away = error.name !== "AbortError";
      } finally {
        going = null;
        const ended = performance.now();
        next = ended + Math.min(LONGEST_REST_MS, Math.max(EVERY_MS, REST * (ended - began)));
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
      const waits = document.querySelector("[aria-busy=true]");
      if (!paused && !waits && !document.hidden && performance.now() >= next) look();
    }, EVERY_MS / 6);
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) going?.abort();
    });
    next = performance.now() + EVERY_MS;
    addEventListener("pagehide", () => going?.abort());

    document.addEventListener("htmx:oobBeforeSwap", (event) => {
      if (event.detail.target?.id !== "delivery-rows") return;
      const rows = event.detail.fragment.querySelectorAll("tr[data-row]");
      const whole = document.getElementById("tail-version").value !== "";
      let fresh = 0;
      for (const row of rows) {
        const known = document.getElementById(row.id);
        if (!known) fresh += 1;
        if (known && !whole) row.remove();
        if (!known && whole) row.classList.add("fresh");
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
    let focused = null;
    function keepPlace(body) {
      const row = [...body.rows].find((each) => each.getBoundingClientRect().bottom > 0);
      anchor = row && body.getBoundingClientRect().top <= 0 ? row.id : null;
      top = anchor ? row.getBoundingClientRect().top : 0;
      focused = document.activeElement?.closest?.("#delivery-rows > tr")?.id;
    }
    // The row may be another element by now, or gone.
    function restorePlace() {
      const row = anchor && document.getElementById(anchor);
      if (row) scrollBy({ top: row.getBoundingClientRect().top - top, behavior: "instant" });
      if (focused && document.activeElement === document.body) {
        document.getElementById(focused)?.querySelector("a")?.focus({ preventScroll: true });
      }
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
