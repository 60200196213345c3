"""The Chinese-English lexicon: one word, one translation; nouns come with their measure word.

An English noun holds a brace where an adjective goes: "cup of {}tea", "{}book".
"""

from typing import NamedTuple

from .english import EnglishVerb


class Noun(NamedTuple):
    chinese: str
    measure: str
    english: str
    plural: str


class Verb(NamedTuple):
    chinese: str
    english: EnglishVerb
    groups: tuple[str, ...]


class Person(NamedTuple):
    """english_object is the form after a verb (him); pronoun is 他 or 她 for a known person, else ""."""

    chinese: str
    english: str
    english_object: str
    person: int
    pronoun: str


PRONOUNS = (
    Person("我", "I", "me", 0, "我"),
    Person("你", "you", "you", 1, "你"),
    Person("他", "he", "him", 2, "他"),
    Person("她", "she", "her", 2, "她"),
    Person("我们", "we", "us", 3, "我们"),
    Person("他们", "they", "them", 4, "他们"),
)
OWNERS = {"我": "my", "你": "your", "他": "his", "她": "her"}
MALE = "彼得/Peter 保罗/Paul 大卫/David 小明/Xiaoming 小强/Xiaoqiang 李华/Li_Hua 张伟/Zhang_Wei"
FEMALE = "安娜/Anna 玛丽/Mary 小红/Xiaohong 小丽/Xiaoli 王芳/Wang_Fang"
PEOPLE = """医生/doctor 老师/teacher 司机/driver 厨师/cook 护士/nurse 警察/police_officer 律师/lawyer 记者/journalist
    演员/actor 经理/manager 学生/student 农民/farmer 画家/painter 歌手/singer"""
FAMILY = {
    "他": "爸爸/father 哥哥/older_brother 弟弟/younger_brother 爷爷/grandfather 叔叔/uncle 儿子/son",
    "她": "妈妈/mother 姐姐/older_sister 妹妹/younger_sister 奶奶/grandmother 阿姨/aunt 女儿/daughter",
}
NOUNS = {
    "food": "苹果 个 {}apple; 橘子 个 {}orange; 鸡蛋 个 {}egg; 西瓜 个 {}watermelon; 包子 个 {}steamed_bun; 蛋糕 块 piece_of_{}cake",
    "drink": "茶 杯 cup_of_{}tea; 咖啡 杯 cup_of_{}coffee; 牛奶 杯 cup_of_{}milk; 水 瓶 bottle_of_{}water; 果汁 瓶 bottle_of_{}juice",
    "book": "书 本 {}book; 小说 本 {}novel; 词典 本 {}dictionary; 杂志 本 {}magazine; 信 封 {}letter; 报纸 份 {}newspaper",
    "clothes": """衬衫 件 {}shirt; 毛衣 件 {}sweater; 大衣 件 {}coat; 裙子 条 {}skirt; 围巾 条 {}scarf; 帽子 顶 {}hat;
        裤子 条 pair_of_{}trousers; 鞋 双 pair_of_{}shoes; 袜子 双 pair_of_{}socks""",
    "thing": "椅子 把 {}chair; 杯子 个 {}cup; 箱子 个 {}suitcase; 包 个 {}bag; 照片 张 {}photo; 花 朵 {}flower; 钥匙 把 {}key",
    "tool": "雨伞 把 {}umbrella; 刀 把 {}knife; 手机 部 {}phone; 相机 台 {}camera; 电脑 台 {}computer; 笔 支 {}pen",
    "vehicle": "汽车 辆 {}car; 自行车 辆 {}bicycle; 摩托车 辆 {}motorcycle",
    "animal": "狗 只 {}dog; 猫 只 {}cat; 鸟 只 {}bird; 兔子 只 {}rabbit; 马 匹 {}horse; 牛 头 {}cow; 猪 头 {}pig",
    "furniture": "桌子 张 {}table; 床 张 {}bed; 门 扇 {}door; 窗户 扇 {}window",
}
COLOURS = "红色的/red 蓝色的/blue 黑色的/black 白色的/white 绿色的/green"
SIZES = "大/big 小/small"
ADJECTIVES = {
    "food": SIZES, "drink": "热/hot 冰/iced", "book": "新/new 旧/old", "animal": "大/big 小/small 白色的/white 黑色的/black",
    "clothes": f"新/new 旧/old {COLOURS}", "thing": f"{SIZES} 新/new 旧/old {COLOURS}", "tool": f"新/new 旧/old {COLOURS}",
    "vehicle": f"新/new 旧/old {COLOURS}", "furniture": SIZES,
}  # fmt: skip

TRANSITIVE = """买 buy bought buying | food drink book clothes thing tool vehicle furniture
    卖 sell sold selling | food clothes thing tool vehicle animal
    吃 eat ate eating | food
    喝 drink drank drinking | drink
    看 read read reading | book
    找 look_for looked_for looking_for | clothes thing tool animal book
    洗 wash washed washing | clothes vehicle animal
    修 repair repaired repairing | vehicle furniture
    画 paint painted painting | animal food
    喂 feed fed feeding | animal
    借 borrow borrowed borrowing | book tool vehicle
    拿 take took taking | food clothes thing tool
    用 use used using | tool"""
PUNCTUAL = """找到 find found finding | clothes thing tool animal book
    丢 lose lost losing | clothes thing tool
    看见 see saw seeing | animal vehicle
    忘记带 forget_to_bring forgot_to_bring forgetting_to_bring | clothes tool book"""
MEETING = """帮助 help helped helping |
    等 wait_for waited_for waiting_for |
    拜访 visit visited visiting |
    感谢 thank thanked thanking |
    邀请 invite invited inviting |"""
GIVING = """送给 give gave giving | food clothes thing tool book
    借给 lend lent lending | clothes tool book vehicle
    寄给 send sent sending | clothes book"""
STAYING = """工作 work worked working |
    睡觉 sleep slept sleeping |
    唱歌 sing sang singing |
    跳舞 dance danced dancing |
    学习 study studied studying |
    跑步 run ran running |
    休息 rest rested resting |
    做饭 cook cooked cooking |
    打篮球 play_basketball played_basketball playing_basketball |
    踢足球 play_football played_football playing_football |
    看电视 watch_TV watched_TV watching_TV |"""
GOING = "去 go went going |"
CALLING = "打 call called calling |"
PUTTING = "放 put put putting |"
PLACES = """公园/in/park 图书馆/in/library 学校/at/school 医院/in/hospital 超市/at/supermarket 饭店/in/restaurant
    办公室/in/office 博物馆/in/museum 火车站/at/station 机场/at/airport 电影院/at/cinema 银行/at/bank 花园/in/garden
    厨房/in/kitchen 商店/in/shop 动物园/at/zoo 教室/in/classroom"""
CITIES = """北京/Beijing 上海/Shanghai 广州/Guangzhou 南京/Nanjing 杭州/Hangzhou 成都/Chengdu 香港/Hong_Kong 东京/Tokyo
    巴黎/Paris 伦敦/London 纽约/New_York"""
TRAVEL = "坐火车/by_train 坐飞机/by_plane"
RIDES = "坐地铁/by_underground 坐出租车/by_taxi 骑车/by_bicycle"
FEELINGS = "累/tired 高兴/happy 难过/sad 饿/hungry 忙/busy 生气/angry 紧张/nervous"
FREQUENCY = "总是/always 常常/often 有时候/sometimes 很少/rarely 从来不/never"
PERSONS_COMPARED = "高/taller 矮/shorter 忙/busier 年轻/younger 聪明/smarter"
THINGS_COMPARED = "贵/more_expensive 便宜/cheaper 大/bigger 小/smaller 新/newer"
THING_STATES = "贵/expensive 便宜/cheap 大/big 小/small 新/new 旧/old 漂亮/beautiful"


def couples(text: str) -> list[tuple[str, ...]]:
    """ "茶/hot_tea ..." -> [("茶", "hot tea"), ...]."""
    return [tuple(entry.replace("_", " ").split("/")) for entry in text.split()]


def _plural(english: str) -> str:
    head, of, rest = english.partition(" of ")
    if of:
        return f"{head}s of {rest}"
    if english in ("{}knife", "{}scarf"):
        return english.rstrip("fe") + "ves"
    return english[:-1] + "ies" if english.endswith("ary") else english + "s"


def _noun(entry: str) -> Noun:
    chinese, measure, english = entry.split()
    english = english.replace("_", " ")
    return Noun(chinese, measure, english, _plural(english))


def verbs(table: str) -> list[Verb]:
    found = []
    for line in table.splitlines():
        words, groups = line.split(" |")
        chinese, *english = words.split()
        found.append(Verb(chinese, EnglishVerb(*(word.replace("_", " ") for word in english)), tuple(groups.split())))
    return found


def relatives() -> list[tuple[str, str, str]]:
    """(妈妈, mother, 她) and so on: the pronoun tells who is meant later."""
    return [(chinese, english, pronoun) for pronoun, text in FAMILY.items() for chinese, english in couples(text)]


NOUN = {group: [_noun(entry) for entry in text.split(";")] for group, text in NOUNS.items()}
ADJECTIVE = {group: couples(text) for group, text in ADJECTIVES.items()}
NAMES = [
    Person(chinese, english, english, 2, pronoun)
    for pronoun, names in (("他", MALE), ("她", FEMALE))
    for chinese, english in couples(names)
]
