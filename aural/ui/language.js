// Translates every text that comes into the page, and the attributes that are read out or shown, by the catalogue
// of the page's language.
window.auralSay = (() => {
  const ATTRIBUTES = ["aria-label", "aria-valuetext", "placeholder", "title", "alt"];
  const SKIPPED = "script, style, textarea, code, pre, .json-node, [translate='no']";
  const NUMBER = /^[+−-]?\d{1,3}(,?\d{3})*(\.\d+)?$/;
  const FIGURE = /^[+−-]?[\d,]+(\.\d+)? ?(Hz|kHz|s|ms|dB|dBTP|dBFS|LU|LUFS|phon|GiB|%)$/;
  const MOST_KEPT = 5000;
  const LONGEST = 1000; // characters of a text that is looked for

  let exact; // English -> its translation
  let patterns; // those with places for what differs, the most particular first
  const kept = new Map(); // what was said for what

  const compile = ([english, translation]) => {
    const parts = english.split(/\{(#?)(\d)\}/);
    let source = "";
    const places = [];
    parts.forEach((part, index) => {
      if (index % 3 === 0) source += part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
      if (index % 3 === 1) source += part ? "([+−-]?\\d[\\d.,:]*)" : "(.+?)";
      if (index % 3 === 2) places.push(part);
    });
    const words = parts.filter((_, index) => index % 3 === 0).join("").length;
    return { expression: new RegExp(`^${source}$`, "s"), places, translation, words };
  };
  const load = () => {
    const texts = window.gradio_config?.aural_texts;
    if (!texts) return false;
    const pairs = Object.entries(texts);
    const isPattern = ([english]) => /\{#?\d\}/.test(english);
    exact = new Map(pairs.filter((pair) => !isPattern(pair)));
    patterns = pairs.filter(isPattern).map(compile).sort((one, other) => other.words - one.words);
    return true;
  };

  // The decimal comma, and narrow spaces between thousands.
  const number = (text) => text.replace(/[,.]/g, (sign) => (sign === "." ? "," : "\u202f"));
  const fill = ({ places, translation }, found) => {
    const values = Object.fromEntries(places.map((place, index) => [place, found[index + 1]]));
    return translation.replace(/\{#?(\d)\}/g, (_, place) =>
      NUMBER.test(values[place]) ? number(values[place]) : say(values[place]));
  };
  const look = (text) => {
    if (exact.has(text)) return exact.get(text);
    for (const pattern of patterns) {
      const found = text.match(pattern.expression);
      if (found) return fill(pattern, found);
    }
    return named(text);
  };
  // A sound within a sentence: "a dog" by "Dog".
  const named = (text) => {
    const name = text.replace(/^an? /, "");
    if (!name) return null; // before the comma of ", mono"
    const known = exact.get(name[0].toUpperCase() + name.slice(1));
    if (known === undefined || name[0] !== name[0].toLowerCase()) return null;
    return document.documentElement.lang === "de" ? known : known[0].toLowerCase() + known.slice(1);
  };
  const hasWords = (text) => /\p{Ll}{3}/u.test(text); // other texts are figures, units and names
  const itemOf = (text) => (FIGURE.test(text) ? number(text) : look(text) ?? (hasWords(text) ? null : text));
  // The items of a list within a sentence, if all are known.
  const list = (text) => {
    for (const [between, joint] of [["; ", "; "], [", ", ", "], [" and ", null], [" or ", null]]) {
      const items = text.split(between);
      const said = items.length > 1 ? items.map((item) => itemOf(item) ?? list(item)) : [null];
      if (said.every((item) => item !== null)) return said.join(joint ?? ` ${say(between.trim())} `);
    }
    return null;
  };
  // Sentences, as many at a time as are known together.
  const sentences = (parts) => {
    if (!parts.length) return [];
    for (let count = parts.length; count; count--) {
      const said = look(parts.slice(0, count).join(" "));
      if (said !== null) return [said, ...sentences(parts.slice(count))];
    }
    return [pieces(parts[0]), ...sentences(parts.slice(1))];
  };
  // What is left of a text that is not known as a whole.
  const pieces = (text) => {
    const clauses = text.split(" · ");
    if (clauses.length > 1) return clauses.map(say).join(" · ");
    const [, code, meaning] = text.match(/^(\w+): (.+)$/s) ?? []; // a down-mix
    if (code && exact.has(meaning)) return `${code}: ${exact.get(meaning)}`;
    const [, core, end] = text.match(/^(.*?)([.:]?)$/s);
    const said = end ? itemOf(core) ?? list(core) : list(core);
    return said === null ? text : said + end;
  };

  const say = (text) => {
    if (typeof text !== "string" || text.length > LONGEST || !/\p{L}/u.test(text)) return text;
    if (!exact && !load()) return text;
    if (kept.has(text)) return kept.get(text);
    const [, before, core, after] = text.match(/^(\s*)(.*?)(\s*)$/s);
    const parts = core.replace(/\s+/g, " ").split(/(?<=[.!?]) /);
    const said = before + (FIGURE.test(core) ? number(core) : sentences(parts).join(" ")) + after;
    if (kept.size >= MOST_KEPT) kept.clear();
    kept.set(text, said);
    return said;
  };

  const written = new WeakMap(); // node -> what stands there by this script, by attribute
  const put = (node, name, given, write) => {
    const ours = written.get(node) ?? {};
    if (given === null || ours[name] === given) return;
    const isFigure = !name && NUMBER.test(given.trim()) && node.parentElement?.closest("td");
    const said = isFigure ? number(given) : say(given);
    if (said === given) return;
    written.set(node, { ...ours, [name]: said });
    write(said);
  };
  const translateText = (node) => {
    if (!node.parentElement || node.parentElement.closest(SKIPPED)) return;
    put(node, "", node.nodeValue, (said) => { node.nodeValue = said; });
  };
  const translateAttribute = (node, name) => {
    if (!node.parentElement?.closest(SKIPPED)) put(node, name, node.getAttribute(name), (said) => node.setAttribute(name, said));
  };
  const translate = (root) => {
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT | NodeFilter.SHOW_ELEMENT);
    for (let node = root; node; node = walker.nextNode()) {
      if (node.nodeType === Node.TEXT_NODE) translateText(node);
      else if (node.nodeType === Node.ELEMENT_NODE)
        for (const name of ATTRIBUTES) if (node.hasAttribute(name)) translateAttribute(node, name);
    }
  };
  new MutationObserver((changes) => {
    for (const { type, target, attributeName, addedNodes } of changes) {
      if (type === "childList") addedNodes.forEach(translate);
      else if (type === "characterData") translateText(target);
      else translateAttribute(target, attributeName);
    }
  }).observe(document.documentElement, {
    subtree: true, childList: true, characterData: true, attributeFilter: ATTRIBUTES,
  });
  return say;
})();
