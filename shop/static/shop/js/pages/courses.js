// The shelves come as they are from the server; only the frame of the page has something to do.

import "../site.js";
