// Fields of times: typed in the viewer's zone, and UTC in the URL, so that it can be
// shared. Without this they are UTC, and their labels say so.
(() => {
  "use strict";
  const two = (number) => String(number).padStart(2, "0");

  function local(at, seconds) {
    const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
    const time = `${two(at.getHours())}:${two(at.getMinutes())}`;
    return `${day}T${time}${seconds ? `:${two(at.getSeconds())}` : ""}`;
  }

  function zone(at) {
    const parts = new Intl.DateTimeFormat(undefined, { timeZoneName: "short" }).formatToParts(at);
    return parts.find((each) => each.type === "timeZoneName")?.value ?? "your time";
  }

  function typed(input) {
    const at = new Date(input.value);
    return input.value && !Number.isNaN(at.getTime()) ? at : null;
  }

  // Of the hour that a change of the clocks repeats, what came with the page stays as
  // it was unless it is typed anew.
  function utc(input) {
    if (input.value === input.dataset.shown) return input.dataset.utc;
    return typed(input)?.toISOString().replace(/(:00)?\.000Z$/, "Z") ?? "";
  }

  function label(input) {
    const shown = document.querySelector(`label[for="${input.id}"] [data-zone]`);
    if (shown) shown.textContent = `(${zone(typed(input) ?? new Date())})`;
  }

  document.addEventListener("DOMContentLoaded", () => {
    const forms = new Set();
    for (const input of document.querySelectorAll("input[data-utc]")) {
      const at = new Date(input.dataset.utc);
      const isTime = input.dataset.utc && !Number.isNaN(at.getTime());
      input.value = isTime ? local(at, input.step === "1") : "";
      input.dataset.shown = input.value;
      label(input);
      input.addEventListener("change", () => label(input));
      forms.add(input.form);
    }
    for (const form of forms) {
      form.addEventListener("formdata", (event) => {
        for (const input of form.querySelectorAll("input[data-utc]:enabled")) {
          const value = utc(input);
          if (value) event.formData.set(input.name, value);
          else event.formData.delete(input.name);
        }
      });
    }
  });
})();
