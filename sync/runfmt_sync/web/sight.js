/**
 * Tells elements when they come into sight, and when they go out of it.
 */

const AHEAD = '200px';

/** @type {WeakMap<Element, (isInSight: boolean) => void>} */
const told = new WeakMap();
const observer = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) told.get(target)?.(isIntersecting);
  },
  { rootMargin: AHEAD },
);

/**
 * @param {Element} element
 * @param {(isInSight: boolean) => void} tell
 * @returns {() => void} ends it; what was in sight is told to be no longer
 */
export function inSight(element, tell) {
  told.set(element, tell);
  observer.observe(element);
  return () => {
    observer.unobserve(element);
    told.delete(element);
    tell(false);
  };
}
