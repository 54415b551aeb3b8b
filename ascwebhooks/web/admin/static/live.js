// Parts that are refreshed by themselves rest while somebody reads in them, or is asked
// whether they mean it.
document.addEventListener("htmx:beforeRequest", (event) => {
  "use strict";
  const part = event.target;
  if (part.dataset?.calm === undefined) return;
  const reads = part.querySelector("details[open]") || part.contains(document.activeElement);
  const asked = document.querySelector("dialog[open]");
  if (reads || asked || document.hidden) event.preventDefault();
});
