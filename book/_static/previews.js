// A reference to an equation, a box, a figure or a source shows it beside the line: by pointer, or when it has the focus.
(() => {
  const SHOWN = "div.math, div.proof, div.exercise, div.citation, figure";
  const DATA = new URL("previews_data.js", document.currentScript.src); // what pages refer to on other pages
  const ROOT = new URL("..", DATA).href;
  const PATIENCE = 250; // milliseconds: to pass over a link, and to move from it into the preview

  // By a script tag, because pages that are opened as files may not fetch.
  let data;
  const load = () =>
    (data ??= new Promise((done) => {
      const script = document.createElement("script");
      script.src = DATA;
      script.onload = script.onerror = () => done(window.bookPreviews ?? {});
      document.head.append(script);
    }));

  const find = async (link) => {
    const [page, anchor] = [link.href.split("#")[0], decodeURIComponent(link.hash.slice(1))];
    if (page === location.href.split(/[?#]/)[0]) return document.getElementById(anchor)?.cloneNode(true);
    const template = document.createElement("template");
    template.innerHTML = (await load())[page.slice(ROOT.length)]?.[anchor] ?? "";
    for (const name of ["href", "src"])
      for (const element of template.content.querySelectorAll(`[${name}]`))
        element.setAttribute(name, new URL(element.getAttribute(name), page));
    return template.content.firstElementChild;
  };

  const box = document.createElement("div");
  box.id = "preview";
  box.role = "tooltip";
  box.hidden = true;
  document.addEventListener("DOMContentLoaded", () => document.body.append(box));

  let link, timer; // whose preview is shown or on its way
  const later = (action) => {
    clearTimeout(timer);
    timer = setTimeout(action, PATIENCE);
  };

  const hide = () => {
    clearTimeout(timer);
    link?.removeAttribute("aria-describedby");
    link = undefined;
    box.hidden = true;
    window.MathJax?.typesetClear?.([box]);
    box.replaceChildren();
  };

  const place = (line) => {
    const { left, top, bottom } = line;
    const { width, height } = box.getBoundingClientRect();
    const page = document.documentElement;
    const below = bottom + height + 8 <= page.clientHeight || top < height + 8;
    box.style.left = `${Math.max(8, Math.min(left, page.clientWidth - width - 8)) + scrollX}px`;
    box.style.top = `${(below ? bottom + 6 : top - height - 6) + scrollY}px`;
  };

  const show = async (reference) => {
    if (reference === link) return;
    hide();
    link = reference;
    const shown = await find(reference);
    if (link !== reference || !shown?.matches(SHOWN)) return;
    for (const mark of shown.querySelectorAll(".headerlink")) mark.remove();
    for (const element of [shown, ...shown.querySelectorAll("[id]")]) element.removeAttribute("id");
    for (const element of shown.querySelectorAll("a, [tabindex]")) element.tabIndex = -1;
    box.replaceChildren(shown);
    box.style.visibility = "hidden"; // until its formulas have their size
    box.hidden = false;
    await window.MathJax?.startup?.promise;
    await window.MathJax?.typesetPromise?.([box]);
    await Promise.all([...box.querySelectorAll("img")].map((image) => image.decode().catch(() => {})));
    if (link !== reference) return;
    place(reference.getClientRects()[0]);
    box.style.visibility = "";
    reference.removeAttribute("title"); // the browser's own preview
    reference.setAttribute("aria-describedby", box.id);
  };

  const reference = (event) => event.target.closest?.("article a.reference.internal[href*='#']");
  document.addEventListener("pointerover", (event) => {
    if (event.pointerType === "touch") return;
    if (box.contains(event.target)) return clearTimeout(timer);
    const over = reference(event);
    if (over) later(() => show(over));
    else if (link && link !== document.activeElement) later(hide);
    else clearTimeout(timer);
  });
  document.addEventListener("focusin", (event) => {
    const focused = reference(event);
    if (focused?.matches(":focus-visible")) show(focused); // not after a tap
    else if (link) hide();
  });
  document.addEventListener("focusout", hide);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") hide();
  });
})();
