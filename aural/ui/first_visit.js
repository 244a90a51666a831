// What Gradio's page finds events and components by; `first_visit.py` puts it into the module that keeps them.
const auralIndexes = new WeakMap(); // list of events -> component -> names of its events
function auralEvents(component, events) {
  let index = auralIndexes.get(events);
  if (index?.count !== events.length) {
    index = { count: events.length, names: new Map() };
    for (const { targets } of events)
      for (const [id, name] of new Map([...targets].reverse())) // the first one of a component counts
        if (name) index.names.set(id, [...(index.names.get(id) ?? []), name]);
    auralIndexes.set(events, index);
  }
  return [...(index.names.get(component.id) ?? [])];
}
const auralPlaces = new Map(); // component -> numbers of the children that lead to it, when last seen
function auralFind(root, id) {
  if (root.id === id) return root;
  if (id === null || id === undefined) return null; // the target of an event that follows another
  let found = auralPlaces.has(id) ? root : null;
  for (const number of auralPlaces.get(id) ?? []) found = found?.children?.[number];
  if (found?.id === id) return found;
  found = null;
  const visit = (node, place) => {
    auralPlaces.set(node.id, place);
    if (node.id === id) found ??= node;
    node.children?.forEach((child, number) => visit(child, [...place, number]));
  };
  visit(root, []);
  return found;
}
