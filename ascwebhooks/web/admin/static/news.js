// Lists that follow what happens. Rows that are new come by themselves to whoever only
// looks on; whoever has ticked, scrolled or focused something there is told in a line.
(() => {
  "use strict";
  const GONE = "gone";
  // The last answer, for as long as not all of it is shown.
  let pending = null;
  // On later pages: what had been on the first one when this was opened.
  let before = null;

  // A list without rows is none: its page says that instead, and has no table.
  function listOf(root) {
    const list = root.querySelector("[data-list]");
    return rowsOf(list).length ? list : null;
  }
  const rowsOf = (list) => [...(list?.querySelectorAll("tbody > tr[id]") ?? [])];
  const idsOf = (list) => new Set(rowsOf(list).map((row) => row.id));
  const goesOn = (list) => list.querySelector("[rel=next]") !== null;
  const isChosen = (row) => row.querySelector("input:checked") !== null;
  const tail = () => document.getElementById("tail");

  // What came, and what is no longer there. Rows that slid over the end of the page, or
  // onto it, are neither.
  function compare(here, news) {
    const [shown, wanted] = [rowsOf(here), rowsOf(news)];
    const [known, kept] = [idsOf(here), idsOf(news)];
    const lastKnown = wanted.findLastIndex((row) => known.has(row.id));
    const lastKept = shown.findLastIndex((row) => kept.has(row.id));
    const slid = (index, last, list) => index > last && goesOn(list);
    return {
      fresh: wanted.filter((row, n) => !known.has(row.id)
        && !(lastKnown >= 0 && slid(n, lastKnown, here))),
      gone: shown.filter((row, n) => !kept.has(row.id)
        && !row.classList.contains(GONE) && !slid(n, lastKept, news)),
    };
  }

  function isAtWork(here) {
    const body = here.querySelector("tbody");
    const pages = here.querySelector("[data-pages]");
    const focused = document.activeElement;
    return rowsOf(here).some(isChosen) || body.contains(focused) || pages.contains(focused)
      || body.getBoundingClientRect().top < 0 || document.querySelector("dialog[open]") !== null;
  }

  // A row stays the element it is: ticked if it was. The cell that has the focus stays,
  // too, until it has it no longer. Returns whether the row is as it is told now.
  function refresh(row, news) {
    row.classList.remove(GONE);
    row.querySelector(".gone-note")?.remove();
    if (row.dataset.as === news.dataset.as) return true;
    const held = [...row.cells].findIndex((cell) => cell.contains(document.activeElement));
    if (held >= 0 && row.dataset.around === news.dataset.as) return false;
    const chosen = isChosen(row);
    [...news.cloneNode(true).cells].forEach((cell, n) => {
      if (n !== held) row.cells[n].replaceWith(cell);
    });
    const box = row.querySelector("input[type=checkbox]");
    if (box) box.checked = chosen;
    row.dataset[held < 0 ? "as" : "around"] = news.dataset.as;
    return held < 0;
  }

  // Rows where they are, with what they say now. Returns whether that is all of the news.
  function refreshInPlace(here, news) {
    const [shown, wanted] = [rowsOf(here), rowsOf(news)];
    let whole = shown.length === wanted.length && shown.every((row, n) => row.id === wanted[n].id);
    for (const row of wanted) {
      const known = document.getElementById(row.id);
      if (known) whole = refresh(known, row) && whole;
    }
    return replacePages(here, news) && whole;
  }

  function replacePages(here, news) {
    return replace(here.querySelector("[data-pages]"), news.querySelector("[data-pages]"));
  }

  function mark(row, note) {
    if (row.classList.contains(GONE)) return;
    row.classList.add(GONE);
    const told = document.createElement("span");
    told.className = "gone-note";
    told.textContent = note;
    row.cells[0].append(told);
  }

  // Takes copies: what could not be shown yet is asked of the same answer again.
  function merge(here, news, difference) {
    let whole = true;
    const body = here.querySelector("tbody");
    const wanted = rowsOf(news);
    const kept = idsOf(news);
    for (const row of rowsOf(here).filter((each) => !kept.has(each.id))) {
      if (!isChosen(row)) row.remove();
      else if (difference.gone.includes(row)) mark(row, here.dataset.gone);
    }
    let place = body.firstElementChild;
    for (const row of wanted) {
      while (place && !kept.has(place.id)) place = place.nextElementSibling;
      const known = document.getElementById(row.id);
      const next = known ?? row.cloneNode(true);
      if (known) whole = refresh(known, row) && whole;
      else next.classList.toggle("fresh", difference.fresh.includes(row));
      if (next === place) place = place.nextElementSibling;
      else body.insertBefore(next, place);
    }
    return replacePages(here, news) && whole;
  }

  function replace(part, news) {
    if (!part || !news || part.innerHTML === news.innerHTML) return true;
    if (part.contains(document.activeElement)) return false;
    part.replaceChildren(...news.cloneNode(true).childNodes);
    return true;
  }

  function count(fresh) {
    const { one, many } = tail().dataset;
    return `${fresh} new ${fresh === 1 ? one : many}`;
  }

  function say(text) {
    document.getElementById("tail-told").textContent = text;
  }

  // The line above the list; said once, not again with each number.
  function offer(text, told) {
    const line = document.getElementById("news");
    if (!line) return;
    if (text && line.hidden) say(`${told}: press Show at the top of the list.`);
    line.hidden = !text;
    if (text && line.textContent !== text) line.textContent = text;
  }

  function offerDifference({ fresh, gone }) {
    const told = [fresh.length && `${fresh.length} new`, gone.length && `${gone.length} gone`];
    const text = told.filter(Boolean).join(", ");
    offer(`${text} \u2013 show`, text);
  }

  // From a list to none, or back, more of the page changes than its rows.
  function startAnew() {
    const field = document.activeElement?.matches("main input, main select, main textarea");
    const asked = document.querySelector("dialog[open], main tbody input:checked");
    if (!field && !asked) location.reload();
    else offer("It has changed \u2013 show", "The list has changed");
  }

  function watchFirstPage(news) {
    before ??= idsOf(news);
    const fresh = rowsOf(news).filter((row) => !before.has(row.id)).length;
    if (fresh) offer(`${fresh} new \u2013 show`, count(fresh));
  }

  function consider() {
    const [here, news] = [listOf(document), pending.list];
    if (tail().dataset.kept !== "first") return watchFirstPage(news);
    if (!here && !news) return;
    if (!here || !news) return startAnew();
    const difference = compare(here, news);
    const { fresh, gone } = difference;
    const atWork = isAtWork(here);
    if ((fresh.length || gone.length) && atWork) return offerDifference(difference);
    // Nor does a row change places with another under whoever is about to press it.
    show(here, difference, atWork || here.querySelector("tbody").matches(":hover"));
    if (fresh.length) say(count(fresh.length));
  }

  function show(here, difference, inPlace = false) {
    const { list, sum } = pending;
    offer("");
    replace(document.querySelector("[data-sum]"), sum);
    const whole = inPlace && !difference.fresh.length && !difference.gone.length
      ? refreshInPlace(here, list) : merge(here, list, difference);
    if (whole) pending = null;
    document.dispatchEvent(new CustomEvent("news:shown"));
  }

  document.addEventListener("tail:news", (event) => {
    event.preventDefault();
    if (event.detail) {
      const holder = document.createElement("template");
      holder.innerHTML = event.detail;
      const part = holder.content.firstElementChild;
      document.getElementById("tail-version").value = part.dataset.version;
      pending = { list: listOf(part), sum: part.querySelector("[data-sum]") };
    }
    if (pending) consider();
  });

  document.addEventListener("click", (event) => {
    if (event.target.id !== "news") return;
    const here = listOf(document);
    if (tail().dataset.kept !== "first" || !here || !pending?.list) {
      const url = new URL(location.href);
      for (const name of ["after", "before"]) url.searchParams.delete(name);
      location.assign(url);
      return;
    }
    const difference = compare(here, pending.list);
    show(here, difference);
    // Whoever came by the keyboard goes on from the first of what came.
    const first = difference.fresh[0]?.id;
    if (event.detail === 0 && first) document.getElementById(first).querySelector("a")?.focus();
    here.scrollIntoView({ block: "start", behavior: "instant" });
  });
})();
