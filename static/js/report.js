// The report's one button: printing, which is also how a PDF is made.
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-print]")) window.print();
});
