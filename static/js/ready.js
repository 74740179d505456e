/**
 * Ready commands: what to run where, for each way of joining. File names are stems that no shell minds; everything else that came
 * from somebody is quoted.
 * @typedef {{text: string, code?: string}} Step
 * @typedef {{id: string, label: string, steps: Step[]}} Recipe
 * @typedef {{method: string, file: string, jwt: string, iss: string, username?: string}} Given `file`: the stem of the files
 */
import { quoted } from "./curl.js";
import { claims } from "./tokens.js";

const BRING = "Download the token, and run this beside the file.";

/** What brings a certificate of its own. @param {string} method */
const bringsCertificate = (method) => method === "ottca" || method === "ca";

/** @param {Given} g @returns {Recipe[]} */
export function recipes(g) {
  if (g.method === "erott" || g.method === "trott") return [routerCli(g), routerDocker(g), routerCompose(g), routerSystemd(g), curl(g)];
  if (g.method === "updb") return [cli(g), zitilite(g), curl(g)];
  return [cli(g), tunnel(g), zitilite(g), docker(g), compose(g), systemd(g), windows(g), ...(g.method === "ott" ? [mobile()] : []), curl(g)];
}

/** @param {Given} g @param {string} [sep] between folder and file */
const own = (g, sep = "") => (bringsCertificate(g.method) ? ` --cert ${sep}${g.file}.crt --key ${sep}${g.file}.key` : "");

/** @param {Given} g */
function cli(g) {
  const password = g.method === "updb" ? [{ text: "It asks for the user name and for the new password." }] : [];
  const out = g.method === "updb" ? "" : ` --out ${g.file}.json`;
  return { id: "cli", label: "ziti CLI", steps: [{ text: BRING, code: `ziti edge enroll --jwt ${g.file}.jwt${own(g)}${out}` }, ...password] };
}

/** @param {Given} g */
function tunnel(g) {
  const enroll = `ziti-edge-tunnel enroll --jwt ${g.file}.jwt --identity ${g.file}.json${own(g)}`;
  return { id: "tunnel", label: "ziti-edge-tunnel", steps: [{ text: "Join.", code: enroll }, { text: "Connect.", code: `sudo ziti-edge-tunnel run --identity ${g.file}.json` }] };
}

/** @param {Given} g */
function zitilite(g) {
  return { id: "zitilite", label: "zitilite", steps: [{ text: "The same program as the controller's, on the device. It needs nothing else.", code: `zitilite enroll ${g.file}.jwt${g.method === "updb" ? "" : ` --out ${g.file}.json`}${own(g)}` }] };
}

/** @param {Given} g */
function docker(g) {
  if (bringsCertificate(g.method)) return { id: "docker", label: "docker", steps: [{ text: "Join first, then give the container the file.", code: `ziti edge enroll --jwt ${g.file}.jwt${own(g)} --out ${g.file}.json\ndocker run --detach --name ${container(g)} --network host --cap-add NET_ADMIN --device /dev/net/tun \\\n  --env ZITI_IDENTITY_JSON="$(cat ${g.file}.json)" \\\n  openziti/ziti-edge-tunnel` }] };
  return { id: "docker", label: "docker", steps: [{ text: "Joins at its first start and keeps its key in a volume.", code: `docker run --detach --name ${container(g)} --restart unless-stopped \\\n  --network host --cap-add NET_ADMIN --device /dev/net/tun \\\n  --env ZITI_ENROLL_TOKEN="$(cat ${g.file}.jwt)" \\\n  --env ZITI_IDENTITY_BASENAME=${g.file} \\\n  --volume ${container(g)}:/ziti-edge-tunnel \\\n  openziti/ziti-edge-tunnel` }] };
}

/** Docker takes fewer characters than file systems. @param {Given} g */
const container = (g) => `ziti-${g.file.replace(/[^A-Za-z0-9_.-]/g, "-")}`;

/** @param {Given} g */
function compose(g) {
  const secret = bringsCertificate(g.method) ? "      ZITI_IDENTITY_JSON: ${ZITI_IDENTITY_JSON}" : "      ZITI_ENROLL_TOKEN: ${ZITI_ENROLL_TOKEN}";
  const yaml = `services:\n  ziti:\n    image: openziti/ziti-edge-tunnel\n    restart: unless-stopped\n    network_mode: host\n    cap_add: [NET_ADMIN]\n    devices: [/dev/net/tun]\n    environment:\n${secret}\n      ZITI_IDENTITY_BASENAME: ${g.file}\n    volumes: [ziti:/ziti-edge-tunnel]\nvolumes:\n  ziti:`;
  const start = bringsCertificate(g.method) ? `ziti edge enroll --jwt ${g.file}.jwt${own(g)} --out ${g.file}.json\nZITI_IDENTITY_JSON="$(cat ${g.file}.json)" docker compose up --detach` : `ZITI_ENROLL_TOKEN="$(cat ${g.file}.jwt)" docker compose up --detach`;
  return { id: "compose", label: "compose", steps: [{ text: "compose.yml", code: yaml }, { text: "Start it.", code: start }] };
}

/** @param {Given} g */
function systemd(g) {
  const folder = "/opt/openziti/etc/identities";
  const steps = bringsCertificate(g.method)
    ? [{ text: "With the package ziti-edge-tunnel installed: join, and put the identity where the service looks.", code: `ziti-edge-tunnel enroll --jwt ${g.file}.jwt${own(g)} --identity ${g.file}.json\nsudo install -o ziti -g ziti -m 600 ${g.file}.json ${folder}/` }]
    : [{ text: "With the package ziti-edge-tunnel installed: its service takes tokens from this folder.", code: `sudo install -o ziti -g ziti -m 600 ${g.file}.jwt ${folder}/` }];
  return { id: "systemd", label: "systemd", steps: [...steps, { text: "Start it, now and after each boot.", code: "sudo systemctl enable ziti-edge-tunnel.service\nsudo systemctl restart ziti-edge-tunnel.service" }] };
}

/** @param {Given} g */
function windows(g) {
  const desktop = bringsCertificate(g.method) ? [] : [{ text: "Ziti Desktop Edge: Add Identity, With JWT, choose the token file. Or, in PowerShell:" }];
  return { id: "windows", label: "Windows", steps: [...desktop, { text: BRING, code: `ziti edge enroll --jwt .\\${g.file}.jwt${own(g, ".\\")} --out .\\${g.file}.json` }] };
}

/** @returns {Recipe} */
const mobile = () => ({ id: "mobile", label: "Mobile", steps: [{ text: "Install Ziti Mobile Edge from the app store of the phone." }, { text: "Add an identity, choose “Scan QR code”, and hold the phone before the code on this page." }] });

/** @param {Given} g */
function curl(g) {
  const { jti } = claims(g.jwt);
  const authority = { text: "The controller's authority. Compare its fingerprint with the one that the controller prints at its start.", code: `zitilite trust ${quoted(g.iss.replace("https://", ""))} --out ca.pem` };
  const query = g.method === "ca" ? "method=ca" : `method=${g.method}&token=${jti}`;
  const to = quoted(`${g.iss}/edge/client/v1/enroll?${query}`);
  if (g.method === "updb") return { id: "curl", label: "curl", steps: [authority, { text: "Set the password.", code: `curl --fail-with-body --cacert ca.pem -H 'content-type: application/json' \\\n  --data ${quoted(JSON.stringify({ username: g.username || "USER", password: "CHOOSE-ONE" }))} \\\n  ${to}` }] };
  if (bringsCertificate(g.method)) return { id: "curl", label: "curl", steps: [authority, { text: "Join with the device's own certificate.", code: `curl --fail-with-body --cacert ca.pem --cert ${g.file}.crt --key ${g.file}.key -X POST \\\n  ${to}` }] };
  const key = `openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=${g.file} \\\n  -keyout ${g.file}.key -out ${g.file}.csr`;
  if (g.method !== "ott") return { id: "curl", label: "curl", steps: [authority, { text: "Make two keys and requests.", code: key }, { text: "Join.", code: `python3 -c 'import json,sys; c=open(sys.argv[1]).read(); print(json.dumps({"certCsr":c,"serverCertCsr":c}))' ${g.file}.csr |\ncurl --fail-with-body --cacert ca.pem -H 'content-type: application/json' --data-binary @- \\\n  ${to}` }] };
  return { id: "curl", label: "curl", steps: [authority, { text: "Make a key and a request.", code: key }, { text: "Join; the certificate comes back.", code: `curl --fail-with-body --cacert ca.pem -H 'content-type: application/x-pem-file' \\\n  --data-binary @${g.file}.csr -o ${g.file}.crt \\\n  ${to}` }] };
}

/** @param {Given} g */
function routerCli(g) {
  return { id: "cli", label: "ziti CLI", steps: [{ text: "Write its configuration.", code: `${controllerVariables(g)} \\\n  ziti create config router edge --routerName ${g.file} --output ${g.file}.yml` }, { text: "Join.", code: `ziti router enroll ${g.file}.yml --jwt ${g.file}.jwt` }, { text: "Run it.", code: `ziti router run ${g.file}.yml` }] };
}

/** @param {Given} g */
function controllerVariables(g) {
  const { hostname, port } = new URL(g.iss);
  return `ZITI_CTRL_ADVERTISED_ADDRESS=${hostname} ZITI_CTRL_ADVERTISED_PORT=${port || 443}`;
}

/** @param {Given} g */
function routerDocker(g) {
  const { hostname, port } = new URL(g.iss);
  return { id: "docker", label: "docker", steps: [{ text: "Joins at its first start. Put in the name by which devices reach it.", code: `docker run --detach --name ${container(g)} --restart unless-stopped --publish 3022:3022 \\\n  --env ZITI_CTRL_ADVERTISED_ADDRESS=${hostname} \\\n  --env ZITI_CTRL_ADVERTISED_PORT=${port || 443} \\\n  --env ZITI_ROUTER_ADVERTISED_ADDRESS=router.example \\\n  --env ZITI_ENROLL_TOKEN="$(cat ${g.file}.jwt)" \\\n  --volume ${container(g)}:/ziti-router \\\n  openziti/ziti-router` }] };
}

/** @param {Given} g */
function routerCompose(g) {
  const { hostname, port } = new URL(g.iss);
  const yaml = `services:\n  router:\n    image: openziti/ziti-router\n    restart: unless-stopped\n    ports: ["3022:3022"]\n    environment:\n      ZITI_CTRL_ADVERTISED_ADDRESS: ${hostname}\n      ZITI_CTRL_ADVERTISED_PORT: ${port || 443}\n      ZITI_ROUTER_ADVERTISED_ADDRESS: router.example\n      ZITI_ENROLL_TOKEN: \${ZITI_ENROLL_TOKEN}\n    volumes: [router:/ziti-router]\nvolumes:\n  router:`;
  return { id: "compose", label: "compose", steps: [{ text: "compose.yml", code: yaml }, { text: "Start it.", code: `ZITI_ENROLL_TOKEN="$(cat ${g.file}.jwt)" docker compose up --detach` }] };
}

/** @param {Given} g */
function routerSystemd(g) {
  const { hostname, port } = new URL(g.iss);
  const env = `ZITI_CTRL_ADVERTISED_ADDRESS='${hostname}'\nZITI_CTRL_ADVERTISED_PORT='${port || 443}'\nZITI_ROUTER_ADVERTISED_ADDRESS='router.example'\nZITI_ENROLL_TOKEN='/opt/openziti/etc/router/.token'`;
  return { id: "systemd", label: "systemd", steps: [{ text: "With the package openziti-router installed, in /opt/openziti/etc/router/bootstrap.env:", code: env }, { text: "Bring the token, join, start.", code: `sudo install -m 600 ${g.file}.jwt /opt/openziti/etc/router/.token\nsudo /opt/openziti/etc/router/bootstrap.bash\nsudo systemctl enable --now ziti-router.service` }] };
}
