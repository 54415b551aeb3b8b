// Parts that are refreshed by themselves rest while somebody reads in them.
document.addEventListener("htmx:beforeRequest", (event) => {
  "use strict";
  const part = event.target;
  if (part.dataset?.calm === undefined) return;
  const reads = part.querySelector("details[open]") || part.contains(document.activeElement);
  if (reads || document.hidden) event.preventDefault();
});
