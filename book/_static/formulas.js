document.addEventListener("DOMContentLoaded", () => {
  // A mark beside a formula stays on its line: to the browser a formula is a box, after which a line may end.
  const beside = (node, pattern) => (node?.nodeType === Node.TEXT_NODE && node.data.match(pattern)?.[0]) || "";
  for (const formula of document.querySelectorAll("span.math")) {
    const before = beside(formula.previousSibling, /[([“‘]+$/);
    const after = beside(formula.nextSibling, /^[,.;:!?)\]”’]+/);
    if (!before && !after) continue;
    if (before) formula.previousSibling.data = formula.previousSibling.data.slice(0, -before.length);
    if (after) formula.nextSibling.data = formula.nextSibling.data.slice(after.length);
    const both = document.createElement("span");
    both.className = "formula-with-mark";
    formula.replaceWith(both);
    both.append(before, formula, after);
  }

  if (!window.MathJax) return;
  // The widget manager typesets labels through MathJax 2's Hub.Queue; answer it with MathJax 3.
  window.MathJax.Hub = { Queue: ([, , element]) => window.MathJax.typesetPromise?.([element]) };

  // A formula in the text that is wider than a phone gets a line of its own, to scroll in.
  const findWide = () => {
    for (const formula of document.querySelectorAll("span.math")) {
      const width = formula.querySelector("mjx-math")?.offsetWidth;
      const room = formula.closest("p, li, dd, figcaption")?.clientWidth;
      (formula.closest(".formula-with-mark") ?? formula).classList.toggle("wide-formula", width > room);
    }
  };
  window.MathJax.startup.promise.then(findWide);
  window.addEventListener("resize", findWide);
});
