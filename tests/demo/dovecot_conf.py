"""The text of the private Dovecot's configuration; dovecot.py runs it."""

import grp
import os
import pwd

DH_FILE = "/usr/share/dovecot/dh.pem"

_MAIN = """
protocols = imap pop3
listen = 127.0.0.1
base_dir = {run}/base
state_dir = {run}/state
log_path = {log}
log_timestamp = "%Y-%m-%d %H:%M:%S.%{{usecs}} "
auth_verbose = yes
mail_debug = no
shutdown_clients = yes

ssl = yes
ssl_cert = <{certificate.cert}
ssl_key = <{certificate.key}
ssl_min_protocol = TLSv1.2
disable_plaintext_auth = no
auth_mechanisms = plain login xoauth2 oauthbearer
auth_failure_delay = 0
auth_cache_size = 0

passdb {{
  driver = passwd-file
  mechanisms = plain login
  args = username_format=%u {run}/users
}}
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {run}/oauth2.conf
}}
userdb {{
  driver = static
  args = uid={mail_uid} gid={mail_gid} home={mail}/%u allow_all_users=yes
}}
first_valid_uid = 1
first_valid_gid = 1

mail_location = {mail_format}:~/{mail_format}
mail_fsync = never
mail_plugins = quota
maildir_very_dirty_syncs = yes
mailbox_list_index = yes
protocol imap {{
  mail_plugins = quota imap_quota
  mail_max_userip_connections = 100
}}
protocol pop3 {{
  mail_max_userip_connections = 100
}}
plugin {{
  quota = count:User quota
  quota_vsizes = yes
  quota_rule = *:storage=20G
}}

namespace inbox {{
  inbox = yes
  separator = /
  {folders}
}}

service imap-login {{
  inet_listener imap {{
    port = {ports[imap]}
  }}
  inet_listener imaps {{
    port = {ports[imaps]}
    ssl = yes
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {ports[pop3]}
  }}
  inet_listener pop3s {{
    port = {ports[pop3s]}
    ssl = yes
  }}
}}
"""

# One login process for all connections starts faster than one for each. The penalty would slow down
# every login from 127.0.0.1 after a wrong password, which tests give on purpose.
_SERVICES = """
service imap-login {
  chroot =
  service_count = 0
  process_min_avail = 1
  process_limit = 2
  client_limit = 400
}
service pop3-login {
  chroot =
  service_count = 0
  process_min_avail = 1
  process_limit = 2
  client_limit = 400
}
service imap {
  process_limit = 300
}
service pop3 {
  process_limit = 300
}
service auth {
  client_limit = 2000
}
service anvil {
  chroot =
  client_limit = 1000
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service ipc {
  chroot =
}
service stats {
  chroot =
}
"""

_ROLES = ("Sent", "Drafts", "Trash", "Junk", "Archive")


def render_config(server, run, ports, mail_user):
    """`mail_user` is the passwd entry that mail belongs to under root, None for anyone else."""
    folders = "\n  ".join(f"mailbox {role} {{\n    auto = subscribe\n    special_use = \\{role}\n  }}"
                          for role in _ROLES)
    text = _MAIN.format(
        run=run, ports=ports, folders=folders, log=server.log_file, mail=server.mail,
        certificate=server.certificate, mail_format=server.mail_format,
        mail_uid=mail_user.pw_uid if mail_user else os.geteuid(),
        mail_gid=mail_user.pw_gid if mail_user else os.getegid())
    if os.path.exists(DH_FILE):
        text += f"ssl_dh = <{DH_FILE}\n"
    if mail_user is None:
        text += _everything_as_me()
    else:
        text += "service auth {\n  user = root\n}\n"
    return text + _SERVICES + server.extra_config + "\n"


def _everything_as_me():
    return (f"default_internal_user = {_name(pwd.getpwuid, os.geteuid())}\n"
            f"default_internal_group = {_name(grp.getgrgid, os.getegid())}\n"
            f"default_login_user = {_name(pwd.getpwuid, os.geteuid())}\n")


def _name(lookup, number):
    """Dovecot takes names only, so a container's uid without a passwd entry cannot run it."""
    try:
        return lookup(number)[0]
    except KeyError:
        raise RuntimeError(f"Dovecot needs a name for uid and gid, {number} has none") from None
