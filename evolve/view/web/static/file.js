// The page without a server: data lies in it, packed.
(function () {
  "use strict";
  Evolve.inFile = true;
  const unpack = async (id) => {
    const place = document.getElementById(id);
    const bytes = Uint8Array.from(atob((place.content || place).textContent.trim()), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  };
  const known = new Map();
  Evolve.unpack = (id) => {
    if (!known.has(id)) known.set(id, unpack(id));
    return known.get(id);
  };
  Evolve.load = (name) => Evolve.unpack(`data-${name}`);
  Evolve.link = (id) => `#variant/${encodeURIComponent(id)}`;
})();
