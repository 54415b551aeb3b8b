// Charts: times in the viewer's zone, and single values by pointer and arrow keys.
// Without it the labels are UTC, and each column has its values as a title.
(() => {
  "use strict";

  // "12:00 PM" is wider than the marks of an axis are apart.
  const forms = {
    time: new Intl.DateTimeFormat(undefined, {
      hour: "2-digit", minute: "2-digit", hourCycle: "h23",
    }),
    day: new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" }),
  };
  const from = new Intl.DateTimeFormat(undefined, {
    month: "short", day: "numeric", hour: "2-digit", minute: "2-digit",
  });

  function line(kind, label, value) {
    const row = document.createElement("div");
    const swatch = document.createElement("i");
    swatch.className = `swatch swatch-${kind}`;
    const name = document.createElement("span");
    name.textContent = label;
    const said = document.createElement("strong");
    said.textContent = value;
    row.append(swatch, name, said);
    return row;
  }

  function show(chart, index) {
    const columns = chart.querySelectorAll(".chart-column");
    const readout = chart.querySelector(".chart-readout");
    const column = columns[index];
    if (!column) return;
    for (const each of columns) each.classList.toggle("is-read", each === column);
    chart.dataset.read = index;
    const heading = document.createElement("div");
    heading.className = "chart-when";
    const { from: begins, until } = column.dataset;
    heading.textContent =
      `${from.format(new Date(begins))} – ${forms.time.format(new Date(until))}`;
    const labels = readout.dataset.labels.split("|");
    const kinds = readout.dataset.kinds.split("|");
    const values = column.dataset.values.split("|");
    readout.replaceChildren(heading, ...labels.map((label, n) => line(kinds[n], label, values[n])));
    readout.hidden = false;
    readout.classList.toggle("is-left", index > columns.length / 2);
  }

  function hide(chart) {
    chart.querySelector(".chart-readout").hidden = true;
    for (const each of chart.querySelectorAll(".is-read")) each.classList.remove("is-read");
    delete chart.dataset.read;
  }

  function equip(chart) {
    chart.dataset.ready = "";
    const columns = [...chart.querySelectorAll(".chart-column")];
    const plot = chart.querySelector(".chart-plot");
    if (!plot) return;
    // Ours is quicker than the browser's own.
    for (const each of columns) each.querySelector("title")?.remove();
    plot.addEventListener("pointermove", (event) => {
      const index = columns.indexOf(event.target);
      if (index >= 0 && chart.dataset.read !== String(index)) show(chart, index);
    });
    plot.addEventListener("pointerleave", () => hide(chart));
    plot.addEventListener("blur", () => hide(chart));
    // What is behind a moment, where that can be shown.
    const open = (column) => {
      if (column?.dataset.href) window.location.assign(column.dataset.href);
    };
    plot.addEventListener("click", (event) => open(event.target));
    plot.addEventListener("keydown", (event) => {
      const last = columns.length - 1;
      const now = chart.dataset.read === undefined ? last + 1 : Number(chart.dataset.read);
      const next = {
        ArrowLeft: Math.min(Math.max(now - 1, 0), last),
        ArrowRight: Math.min(now + 1, last),
        Home: 0,
        End: last,
      }[event.key];
      if (event.key === "Escape") hide(chart);
      if (event.key === "Enter") open(columns[chart.dataset.read]);
      if (next === undefined) return;
      event.preventDefault();
      show(chart, next);
    });
  }

  function all(root) {
    for (const label of root.querySelectorAll("text[data-at]")) {
      label.textContent = forms[label.dataset.form].format(new Date(label.dataset.at));
    }
    for (const chart of root.querySelectorAll("[data-chart]:not([data-ready])")) equip(chart);
  }

  document.addEventListener("DOMContentLoaded", () => all(document));
  document.addEventListener("htmx:afterSettle", (event) => all(event.target));
})();
