// Draws every plot in the page's colours, and again when the reader's system turns dark or light.
const read = (id) => JSON.parse(document.getElementById(id).textContent);
const themes = read("themes");
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const drawn = new Map();

async function draw(place) {
  const theme = dark.matches ? "dark" : "light";
  drawn.get(place)?.finalize();
  const result = await vegaEmbed(place, read(place.dataset.specification), {
    ast: true, // expressions are interpreted, for the page's policy forbids eval
    config: themes[theme],
    renderer: "svg",
    tooltip: { theme },
    actions: { export: true, source: false, compiled: false, editor: false },
  });
  drawn.set(place, result);
  place.dataset.drawn = theme;
}

async function drawAll() {
  for (const place of document.querySelectorAll("[data-specification]")) {
    try {
      await draw(place);
    } catch (error) {
      place.textContent = `This plot could not be drawn: ${error}`;
    }
  }
}

dark.addEventListener("change", drawAll);
drawAll();
