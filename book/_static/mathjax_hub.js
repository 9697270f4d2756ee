// The widget manager typesets labels through MathJax 2's Hub.Queue; answer it with MathJax 3.
document.addEventListener("DOMContentLoaded", () => {
  if (!window.MathJax) return;
  const queue = ([, , element]) => window.MathJax.typesetPromise?.([element]);
  window.MathJax.Hub = { Queue: queue };
});
