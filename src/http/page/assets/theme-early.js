// Before the first paint, so that a remembered choice does not flash the other colours. Not a module for that reason.
try {
  const chosen = localStorage.getItem('millstream-theme');
  if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen;
} catch {
  // A browser that keeps nothing shows what the system prefers.
}
