// Where the page was opened says what it talks to: a room of a server, or a device that serves itself.

import { DeviceSignaling } from "./device.js";
import { Room } from "./room.js";
import { Signaling } from "./signaling.js";
import { expose } from "./status.js";

const [, first, name] = location.pathname.split("/");
expose(first === "r" ? new Room(name, new Signaling(name)) : new Room("", new DeviceSignaling()));
