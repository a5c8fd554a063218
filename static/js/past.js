// Looking back at a run: letting go of the slider goes to its entry.
document.addEventListener("change", (event) => {
  if (event.target.id === "past-at") event.target.form.requestSubmit();
});
