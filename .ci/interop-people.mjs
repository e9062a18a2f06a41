// People at a certified authorization server (panva's oidc-provider) on loopback, for .ci/interop: one client that logs
// them in, refresh tokens that rotate, and both forms of logout.
//
//   PORT       issuer, http://127.0.0.1:PORT
//   CTRL_PORT  POST /application?origin=…&pushed=true: the origin of the application, and whether requests are pushed
//              GET /stats: requests by path
import { createServer } from 'node:http';
import { generateKeyPairSync } from 'node:crypto';
import Provider from 'oidc-provider';

const HOST = '127.0.0.1';
const PORT = Number(process.env.PORT);
const CTRL_PORT = Number(process.env.CTRL_PORT);
const ISSUER = `http://${HOST}:${PORT}`;
const SECRET = 'a-long-enough-client-secret-0123456789';

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const keys = [{ ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256', kid: 'people' }];

const application = { origin: 'http://localhost:6004', pushed: false };
let provider;

function build() {
  const { origin, pushed } = application;
  const instance = new Provider(ISSUER, {
    clients: [{
      client_id: 'web',
      client_secret: SECRET,
      token_endpoint_auth_method: 'client_secret_basic',
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      redirect_uris: [`${origin}/api/auth/callback`],
      post_logout_redirect_uris: [`${origin}/api/auth/logged-out`],
      backchannel_logout_uri: `${origin}/api/auth/backchannel-logout`,
      backchannel_logout_session_required: true,
    }],
    jwks: { keys },
    cookies: { keys: ['interop'] },
    scopes: ['openid', 'offline_access'],
    claims: { openid: ['sub'], email: ['email'], profile: ['name'], roles: ['roles'] },
    findAccount: (_ctx, id) => ({
      accountId: id,
      claims: async () => ({
        sub: id,
        email: `${id}@example.test`,
        name: `Person ${id}`,
        roles: [{ id: '1', name: 'app:invoices:owner', display_name: 'Owner' }],
      }),
    }),
    // Without `prompt=consent` it would leave offline_access out (OpenID Connect Core 1.0 section 11).
    issueRefreshToken: async (_ctx, client) => client.grantTypeAllowed('refresh_token'),
    rotateRefreshToken: true,
    features: {
      devInteractions: { enabled: true },
      backchannelLogout: { enabled: true },
      pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: pushed },
      revocation: { enabled: true },
      resourceIndicators: { enabled: false },
    },
    ttl: { AccessToken: () => 1, IdToken: 300, RefreshToken: 3600, Session: 3600, Grant: 3600, Interaction: 600 },
  });
  instance.on('server_error', (_ctx, error) => console.error('server_error', error));
  instance.on('backchannel.error', (_ctx, error) => console.error('backchannel.error', error.message));
  provider = instance.callback();
}
build();

const stats = {};
createServer((request, response) => {
  const path = request.url.split('?')[0];
  stats[path] = (stats[path] ?? 0) + 1;
  provider(request, response);
}).listen(PORT, HOST);

createServer((request, response) => {
  const url = new URL(request.url, ISSUER);
  if (request.method === 'POST' && url.pathname === '/application') {
    application.origin = url.searchParams.get('origin');
    application.pushed = url.searchParams.get('pushed') === 'true';
    build();
  } else if (url.pathname !== '/stats') {
    response.writeHead(404).end();
    return;
  }
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(stats));
}).listen(CTRL_PORT, HOST, () => console.log(`READY issuer=${ISSUER} control=http://${HOST}:${CTRL_PORT}`));
