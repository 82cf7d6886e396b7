// The server renders the catalogue; only the frame of the page needs a script.

import "../site.js";
