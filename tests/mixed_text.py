"""Lines of mixed scripts, made from pieces with a seed: English, German, Chinese, accents, emoji, and untidy characters."""

import random

PIECES = {
    "English": "the quick brown fox jumps over the lazy dog while it's raining cats and dogs unbelievably often don't "
    "e-mail me at 3.14 pm U.S.A. state-of-the-art rock'n'roll (really) HELLO World's best films of 1999 are 100% fun",
    "German": "der schnelle Fuchs läuft über die große Straße Donaudampfschifffahrtsgesellschaft Größe Äpfel öfter weiß "
    "Fußgängerübergänge müssen „gelesen“ werden Schloß STRASSE ÜBER naïve Übung daß",
    "Chinese": "我们 喜欢 这部电影 因为它很有意思 但是 酒店的服务不太好 外卖 送得很快 2024年 "
    "价格是¥30 北京欢迎你 繁體字 也可以 “好” 。 ， ！ 龘",
    "accents": "café crème brûlée naïveté résumé Ångström Dvořák "
    "Łódź São Paulo señorita coöperate e\u0301te\u0301 n\u0303 ﬁnance "
    "İstanbul ılık Việt Nam ½ ² ﬀ Ｆｕｌｌ",
    "emoji": "😀 👍🏽 🤷‍♀️ ❤️ 🇩🇪 🎬🎥 ★★★☆☆ ☺ 🏳️‍🌈 → ∑ € £ ™",
    "untidy": "a\u00a0b \u200bzero\u200b \ufeff \x07 \x00 \ufffd soft\u00adhyphen \u2028 \u3000 "
    "\t tab [brackets] <tags> ## ##ing _under_ a``b'' ... привет κόσμε שלום مرحبا हिन्दी 日本語テキスト 한국어 ไทย "
    + "x"
    * 120,
}


def mixed_lines(count: int = 1000, seed: int = 1) -> list[str]:
    """Each line draws its words from one to three kinds, and puts them together with spaces, or now and then without."""
    draw, lines = random.Random(seed), []
    words = {kind: text.split(" ") for kind, text in PIECES.items()}
    for _ in range(count):
        kinds = draw.sample(sorted(words), draw.randint(1, 3))
        chosen = [draw.choice(words[draw.choice(kinds)]) for _ in range(draw.randint(1, 14))]
        joints = [draw.choice([" ", " ", " ", " ", "", ", ", "  ", "."]) for _ in chosen]
        lines.append("".join(word + joint for word, joint in zip(chosen, joints, strict=True)))
    return lines
