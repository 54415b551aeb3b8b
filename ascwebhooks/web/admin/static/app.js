// What all pages share. Nothing here is needed to read a page or to send a form.
(() => {
  "use strict";

  // Times: in the viewer's zone, with the UTC (the title) on hover.
  const now = () => new Date();
  const sameYear = (at) => at.getFullYear() === now().getFullYear();
  const full = new Intl.DateTimeFormat(undefined, {
    year: "numeric", month: "short", day: "numeric",
    hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "short",
  });
  const short = new Intl.DateTimeFormat(undefined, {
    month: "short", day: "numeric", hour: "2-digit", minute: "2-digit",
  });
  // Where seconds are what one looks for: attempts, what is next, who did what.
  const precise = new Intl.DateTimeFormat(undefined, {
    month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit",
  });
  const day = new Intl.DateTimeFormat(undefined, {
    year: "numeric", month: "short", day: "numeric",
  });

  function showTimes(root) {
    for (const element of root.querySelectorAll("time[datetime]:not([data-shown])")) {
      const at = new Date(element.dateTime);
      if (Number.isNaN(at.getTime())) continue;
      element.dataset.shown = "";
      element.textContent = (!sameYear(at) ? day : element.closest("[data-precise]") ? precise : short).format(at);
      element.title = `${element.title}\n${full.format(at)}`;
    }
  }

  // A message that goes by itself.
  function toast(text, kind) {
    const element = document.createElement("div");
    element.className = `notice notice-${kind}`;
    element.textContent = text;
    document.getElementById("toasts")?.append(element);
    setTimeout(() => element.remove(), 6000);
  }

  async function copy(button) {
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      button.classList.add("copied");
      setTimeout(() => button.classList.remove("copied"), 1500);
      toast("Copied.", "success");
    } catch {
      toast("Your browser does not let pages copy; select the text instead.", "warning");
    }
  }

  document.addEventListener("click", (event) => {
    const target = event.target.closest?.("[data-copy], [data-opens], [data-closes], [data-back]");
    if (!target) return;
    if (target.dataset.copy !== undefined) copy(target);
    if (target.dataset.opens !== undefined) {
      document.getElementById(target.dataset.opens)?.showModal();
    }
    if (target.dataset.closes !== undefined) target.closest("dialog")?.close();
    if (target.dataset.back !== undefined) history.back();
  });

  // A double click sends a form once.
  document.addEventListener("submit", (event) => {
    if (event.defaultPrevented || event.target.method !== "post") return;
    if (event.target.dataset.sent !== undefined) {
      event.preventDefault();
      return;
    }
    event.target.dataset.sent = "";
    for (const button of event.target.querySelectorAll("button[type=submit]")) {
      button.setAttribute("aria-disabled", "true");
    }
  });
  // A page that comes back from the browser's memory has sent nothing yet.
  addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) {
      delete form.dataset.sent;
      for (const button of form.querySelectorAll("[aria-disabled]")) {
        button.removeAttribute("aria-disabled");
      }
    }
  });

  // Before it is painted, so that what is refreshed does not flicker.
  document.addEventListener("htmx:afterSwap", () => showTimes(document));
  document.addEventListener("news:shown", () => showTimes(document));
  document.addEventListener("htmx:afterSettle", (event) => showTimes(event.target));
  // A live part that is as it was stays: the keyboard's place in it, and the quiet of
  // whoever has it read out.
  const last = new WeakMap();
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { target, xhr } = event.detail;
    if (!target.matches?.('[hx-trigger*="every"]')) return;
    if (last.get(target) === xhr.responseText) event.detail.shouldSwap = false;
    last.set(target, xhr.responseText);
  });
  document.addEventListener("htmx:responseError", (event) => {
    const answer = event.detail.xhr;
    const plain = (answer.getResponseHeader("Content-Type") || "").startsWith("text/plain");
    toast(plain && answer.responseText ? answer.responseText : "That did not work.", "danger");
  });
  // What a page that is being left had asked for ends as an error too.
  let leaving = false;
  addEventListener("beforeunload", () => {
    leaving = true;
    setTimeout(() => { leaving = false; }, 3000);
  });
  document.addEventListener("htmx:sendError", () => {
    if (leaving) return;
    toast("The server cannot be reached; what is shown may be old.", "warning");
  });

  document.addEventListener("DOMContentLoaded", () => {
    showTimes(document);
    if (history.length > 1) {
      for (const button of document.querySelectorAll("[data-back]")) button.hidden = false;
    }
    // What was typed before anything listened is looked at, too.
    for (const field of document.querySelectorAll("input[hx-post], textarea[hx-post]")) {
      if (field.value !== field.defaultValue) field.dispatchEvent(new Event("change"));
    }
  });
})();
