"""How the well-known providers write their keys and tokens.

A key is found by what it begins with, so that nothing has to be known of the rest but its letters and length. The
prefixes are those that the providers document for secret scanning; our own gateway's keys are those of
`loresmith.serving.identity.keys`.
"""

from __future__ import annotations

import re

LONGEST_TOKEN = 5120
"""Characters of the longest token that is looked at; JSON Web Tokens grow with their claims."""

FORMATS: dict[str, str] = {
    "aws": r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}",
    "github": r"gh[pousr]_[A-Za-z0-9]{36,251}|github_pat_[A-Za-z0-9_]{22,244}",
    "gitlab": r"gl(?:pat|dt|rt|ptt|soat|cbt|ft|imt|agent)-[\w-]{20,64}",
    "slack": r"xox[abeoprs]-[A-Za-z0-9-]{10,250}|xapp-[0-9]-[A-Za-z0-9-]{10,250}",
    "stripe": r"[sr]k_(?:live|test|prod)_[A-Za-z0-9]{10,247}|whsec_[A-Za-z0-9]{24,64}",
    "google": r"AIza[\w-]{35}|GOCSPX-[\w-]{28}|ya29\.[\w-]{20,1024}",
    "openai": r"sk-(?:proj|svcacct|admin|None)-[\w-]{20,250}|sk-[A-Za-z0-9]{32,64}",
    "anthropic": r"sk-ant-[\w-]{20,250}",
    "huggingface": r"(?:hf|api_org)_[A-Za-z0-9]{30,40}",
    "npm": r"npm_[A-Za-z0-9]{36}",
    "pypi": r"pypi-[\w-]{50,1024}",
    "twilio": r"(?:SK|AC)[0-9a-f]{32}",
    "sendgrid": r"SG\.[\w-]{16,32}\.[\w-]{32,64}",
    "mailgun": r"key-[0-9a-f]{32}|pubkey-[0-9a-f]{32}",
    "mailchimp": r"[0-9a-f]{32}-us[0-9]{1,2}",
    "digitalocean": r"do[opr]_v1_[0-9a-f]{64}",
    "shopify": r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}",
    "databricks": r"dapi[0-9a-f]{32}(?:-[0-9])?",
    "hashicorp": r"hv[sbr]\.[\w-]{24,250}|[A-Za-z0-9]{14}\.atlasv1\.[\w-]{60,70}",
    "docker": r"dckr_(?:pat|oat)_[\w-]{20,64}",
    "age": r"AGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}",
    "atlassian": r"ATATT3[\w=-]{60,250}|ATCTT3[\w=-]{60,250}",
    "linear": r"lin_(?:api|oauth)_[A-Za-z0-9]{32,64}",
    "notion": r"ntn_[A-Za-z0-9]{40,50}|secret_[A-Za-z0-9]{43}",
    "newrelic": r"NRAK-[A-Z0-9]{27}|NRJS-[0-9a-f]{19}",
    "grafana": r"glsa_[A-Za-z0-9]{32}_[0-9a-f]{8}|glc_[A-Za-z0-9+/]{32,400}={0,2}",
    "square": r"sq0[a-z]{3}-[\w-]{22,43}|EAAA[\w-]{60}",
    "telegram": r"[0-9]{8,10}:AA[\w-]{33}",
    "discord": r"[MNO][A-Za-z0-9]{23,27}\.[\w-]{6}\.[\w-]{27,38}",
    "sentry": r"sntry[su]_[\w-]{40,250}",
    "postman": r"PMAK-[0-9a-f]{24}-[0-9a-f]{34}",
    "groq": r"gsk_[A-Za-z0-9]{48,56}",
    "replicate": r"r8_[A-Za-z0-9]{37}",
    "loresmith": r"ls-[a-z2-7]{10}-[A-Za-z0-9_-]{43}",
    "jwt": r"eyJ[\w-]{8,2000}\.eyJ[\w-]{8,2000}\.[\w-]{0,1024}",
}
"""Regular expressions by provider."""

STRETCH = 20
"""Characters, of letters, digits, `_` and `-`, that every one of them has without a break."""

TOKEN = re.compile("|".join(f"(?P<{provider}>{pattern})" for provider, pattern in FORMATS.items()))
"""All of them; the name of the group that matched is the provider's."""
