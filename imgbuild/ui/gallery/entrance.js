/* The token stands where no browser sends it, and goes from the address before anything else is done. */
(async () => {
  const token = location.hash.slice(1);
  history.replaceState(null, "", location.pathname);
  const answer = await fetch("session", { method: "POST", body: token });
  if (answer.ok) location.replace("./");
  else byId("said").textContent = "This address is not of this session, or was opened before. Open the one that imgbuild watch --ui has printed.";
})();
