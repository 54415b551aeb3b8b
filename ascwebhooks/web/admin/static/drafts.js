// What somebody types outlives a session that ends meanwhile: it waits in this tab while
// they log in, and stands in the form again when they are back.
//
// Only forms with data-draft; never passwords, files or what is in [data-unkept]; only
// for whoever typed it; and no longer than the way to the login and back.
(() => {
  "use strict";

  const PLACE = "ascwebhooks.draft";
  const who = () => document.body.dataset.visitor;

  function read() {
    try {
      return JSON.parse(sessionStorage.getItem(PLACE));
    } catch {
      return null;
    }
  }

  function keep(draft) {
    try {
      sessionStorage.setItem(PLACE, JSON.stringify(draft));
    } catch {
      // Without storage, or with too much to store, what was typed is lost as ever.
    }
  }

  const forget = () => sessionStorage.removeItem(PLACE);

  // Of hidden fields only what the form was opened on: somebody else's change since
  // then has to show, whenever it is sent.
  const isKept = (field) =>
    field.name && !["password", "file", "submit", "button"].includes(field.type)
    && (field.type !== "hidden" || field.name === "seen")
    && !field.closest("[data-unkept]");
  const isSecret = (field) =>
    field.name && field.value && field.type !== "hidden"
    && (field.type === "password" || field.closest("[data-unkept]"));
  const ticked = (field) => ["checkbox", "radio"].includes(field.type);

  const pageOf = (form) => {
    const from = form.elements.namedItem("_from")?.value;
    return new URL(from || location.href, location.href);
  };
  const isHere = (href) => {
    const there = new URL(href, location.href);
    return there.pathname === location.pathname && there.search === location.search;
  };

  function draftOf(form) {
    const fields = [...form.elements];
    return {
      page: pageOf(form).href,
      who: who(),
      fields: fields.filter(isKept).map((field) => [
        field.name, ticked(field) ? field.value : null,
        ticked(field) ? field.checked : field.value,
      ]),
      secrets: fields.some(isSecret),
    };
  }

  // The n-th field of a name; lines are added to those that the form begins with.
  function find(form, name, n) {
    const named = () => [...form.elements].filter((field) => field.name === name);
    while (named().length <= n) {
      const last = named().at(-1)?.closest("[data-line]");
      if (!last) return null;
      last.after(last.cloneNode(true));
      last.dispatchEvent(new CustomEvent("lines", { bubbles: true }));
    }
    return named()[n];
  }

  function fill(form, draft) {
    const counts = new Map();
    for (const [name, choice, value] of draft.fields) {
      let field;
      if (choice !== null) {
        field = [...form.elements].find((each) => each.name === name && each.value === choice);
        if (field) field.checked = value;
      } else {
        const n = counts.get(name) || 0;
        counts.set(name, n + 1);
        field = find(form, name, n);
        if (field) field.value = value;
      }
      field?.dispatchEvent(new Event("input", { bubbles: true }));
    }
  }

  function tell(form, draft) {
    const notice = document.createElement("div");
    notice.className = "notice notice-warning";
    notice.setAttribute("role", "status");
    notice.textContent = "Your session had ended, so nothing was sent. What you typed is here"
      + (draft.secrets ? " again, but for passwords and other secrets: type those again." : " again.")
      + " Look at it, then send it.";
    form.prepend(notice);
    for (const closed of form.querySelectorAll("details")) closed.open = true;
    notice.scrollIntoView({ block: "center" });
  }

  function come() {
    const draft = read();
    if (!draft) return;
    const login = document.querySelector("[data-session-ended], [data-logged-out]");
    if (login?.dataset.loggedOut !== undefined) return forget();
    if (login) {
      for (const told of document.querySelectorAll("[data-draft-told]")) told.hidden = false;
      return keep({ ...draft, ended: true });
    }
    // On the way there are pages without anybody: a wrong password, the provider's.
    if (!who()) return;
    forget();
    const form = document.querySelector("form[data-draft]");
    if (!form || !draft.ended || draft.who !== who() || !isHere(draft.page)) return;
    fill(form, draft);
    tell(form, draft);
    touched = form;
  }

  let touched = null;
  const touch = (event) => {
    touched = event.target.closest?.("form[data-draft]") || touched;
  };
  document.addEventListener("input", touch);
  document.addEventListener("submit", touch);
  // By a form that is sent, or by a live part that finds that the session has ended.
  addEventListener("pagehide", () => {
    if (touched && who()) keep(draftOf(touched));
  });
  document.addEventListener("DOMContentLoaded", come);
})();
