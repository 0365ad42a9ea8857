WAIVERS: dict[str, str] = {}
