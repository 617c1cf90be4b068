// The page without a room: asks for its name.

const input = document.getElementById("room-input");
const hint = document.getElementById("room-hint");

document.getElementById("room-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = input.value.trim();
  if (/^[A-Za-z0-9_-]{1,128}$/.test(name)) location.assign(`/r/${name}`);
  else hint.textContent = "A room name is made of letters, digits, _ and -.";
});
