// Everything a page does beyond being complete HTML. Each part works alone; read page.js first.
import "./page.js";
import "./forms.js";
import "./live.js";
import "./keys.js";
import "./times.js";
import "./small.js";
