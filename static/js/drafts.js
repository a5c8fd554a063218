// What is typed into one form is still there after looking at another page.

const drafts = new Map(); // form id → the version it was about, and what was typed

const isBox = (field) => ["checkbox", "radio"].includes(field.type);

export const hasDrafts = () => drafts.size > 0;

export const dropDraft = (form) => drafts.delete(form.id);

export function keepDrafts() {
  for (const form of document.querySelectorAll("form[data-touched]:not([data-plain], [aria-busy])")) {
    const typed = [...form.elements].filter((field) => field.name && field.type !== "hidden" && field.tagName !== "BUTTON");
    const fields = typed.map((field) => [field.name, field.value, field.checked ?? false]);
    drafts.set(form.id, { version: form.dataset.version, fields });
  }
}

// A tick under a confirmation is for what stood there: it does not come back under something else.
export function giveDraftsBack({ wasAskedToLook }) {
  for (const [id, { version, fields }] of drafts) {
    const form = document.getElementById(id);
    if (!form) continue;
    const isSame = form.dataset.version === version;
    for (const [name, value, isChecked] of fields) {
      for (const field of form.querySelectorAll(`[name="${CSS.escape(name)}"]`)) {
        if (!isBox(field)) field.value = value;
        else if (field.value === value && (isSame || name !== "confirmed")) field.checked = isChecked;
      }
    }
    form.dataset.touched = "";
    if (!isSame && !wasAskedToLook) form.querySelector("[data-stale]")?.removeAttribute("hidden");
    drafts.delete(id);
  }
}

addEventListener("beforeunload", (event) => {
  if (hasDrafts() || document.querySelector("form[data-touched]:not([data-plain], [aria-busy])")) event.preventDefault();
});
