// Keeps "in 25 min" and "9 min ago" true. The words are those of core/toolkit/portal/words.py.

const UNITS = [["d", 86_400], ["h", 3_600], ["min", 60], ["s", 1]];

export function sayDuration(seconds) {
  let rest = Math.floor(Math.abs(seconds));
  for (const [index, [unit, size]] of UNITS.entries()) {
    const count = Math.floor(rest / size);
    if (!count) continue;
    const [nextUnit, nextSize] = UNITS[index + 1] ?? [];
    const more = nextSize && unit !== "min" ? Math.floor((rest % size) / nextSize) : 0;
    return more ? `${count} ${unit} ${more} ${nextUnit}` : `${count} ${unit}`;
  }
  return "0 s";
}

function say(kind, seconds) {
  if (kind === "due" && seconds <= 0) return `${sayDuration(seconds)} overdue`;
  if (kind === "since") return sayDuration(seconds);
  if (Math.abs(seconds) < 1) return "now";
  return seconds > 0 ? `in ${sayDuration(seconds)}` : `${sayDuration(seconds)} ago`;
}

function tick() {
  for (const time of document.querySelectorAll("time[data-relative]")) {
    const seconds = (Date.parse(time.dateTime) - Date.now()) / 1000;
    const text = say(time.dataset.relative, seconds);
    if (time.textContent !== text) time.textContent = text;
    const due = time.closest(".due");
    if (due && time.dataset.relative === "due") {
      due.classList.toggle("over", seconds <= 0);
      due.classList.toggle("soon", seconds > 0 && seconds <= 3_600);
    }
  }
}

setInterval(tick, 15_000);
document.addEventListener("visibilitychange", () => { if (!document.hidden) tick(); });
