// Sorts, searches and pages a table. rows: cells, each a value or [value, [[number of a picture, what it shows], ...]].
function rowsTable(figure, rows, pictures, atOnce) {
  const body = figure.querySelector("tbody"), heads = [...figure.querySelectorAll("th")], find = figure.querySelector("input");
  const more = figure.querySelector("p > button"), said = figure.querySelector(".find .files");
  const value = cell => Array.isArray(cell) ? cell[0] : cell;
  let shown = rows, most = atOnce, by = -1, down = true;
  function cellOf(cell, place) {
    const td = document.createElement("td");
    td.dataset.of = heads[place].textContent;
    td.append(value(cell));
    for (const [picture, what] of Array.isArray(cell) ? cell[1] : [])
      td.append(Object.assign(new Image(), {src: pictures[picture], alt: what, title: what}));
    return td;
  }
  function draw() {
    body.replaceChildren(...shown.slice(0, most).map(row => {
      const tr = document.createElement("tr");
      tr.append(...row.map(cellOf));
      return tr;
    }));
    said.textContent = shown.length < rows.length ? `${shown.length} of ${rows.length}` : "";
    more.hidden = shown.length <= most;
  }
  function order(a, b) {
    const one = value(a[by]), other = value(b[by]);
    if (one === "" || other === "") return (one === "") - (other === "");  // what is unknown comes last either way
    const less = typeof one === "number" && typeof other === "number" ? one - other : String(one).localeCompare(other, "en", {numeric: true});
    return down ? -less : less;
  }
  function choose() {
    const part = find.value.toLowerCase();
    shown = rows.filter(row => String(value(row[0])).toLowerCase().includes(part));
    if (by >= 0) shown.sort(order);
    most = atOnce;
    draw();
  }
  heads.forEach((head, place) => head.querySelector("button").addEventListener("click", () => {
    down = by === place ? !down : rows.some(row => typeof value(row[place]) === "number");
    by = place;
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    choose();
  }));
  find.addEventListener("input", choose);
  more.addEventListener("click", () => { most += 5 * atOnce; draw(); });
  draw();
}
