"""The German-English lexicon: one word, one translation, so that the mapping is a function both ways.

German has two words where English has one (der Lehrer, die Lehrerin); the lexicon keeps one of them.
"""

from .english import EnglishVerb
from .german import Adjective, Noun, Phrase, Verb

FEMALE = ["Anna", "Maria", "Lena", "Sophie", "Eva", "Laura", "Julia", "Clara"]
MALE = ["Peter", "Paul", "Tim", "Karl", "Martin", "David", "Otto", "Emil"]
CITIES = {
    "Berlin": "Berlin", "Hamburg": "Hamburg", "München": "Munich", "Köln": "Cologne", "Wien": "Vienna",
    "Paris": "Paris", "London": "London", "Rom": "Rome", "Prag": "Prague", "Warschau": "Warsaw",
}  # fmt: skip

NOUNS = {
    "people": """Arzt m Ärzte doctor; Bäcker m Bäcker baker; Koch m Köche cook; Gärtner m Gärtner gardener;
        Maler m Maler painter; Richter m Richter judge; Fahrer m Fahrer driver; Mann m Männer man; Gast m Gäste guest;
        Bauer m Bauern farmer Bauern; Nachbar m Nachbarn neighbour Nachbarn; Student m Studenten student Studenten;
        Junge m Jungen boy Jungen; Lehrerin f Lehrerinnen teacher; Krankenschwester f Krankenschwestern nurse;
        Sängerin f Sängerinnen singer; Kellnerin f Kellnerinnen waitress; Anwältin f Anwältinnen lawyer;
        Frau f Frauen woman; Chefin f Chefinnen boss; Kind n Kinder child; Mädchen n Mädchen girl""",
    "family": """Vater m Väter father; Bruder m Brüder brother; Onkel m Onkel uncle; Sohn m Söhne son;
        Großvater m Großväter grandfather; Freund m Freunde friend; Mutter f Mütter mother; Schwester f Schwestern sister;
        Tante f Tanten aunt; Tochter f Töchter daughter; Großmutter f Großmütter grandmother""",
    "food": """Apfel m Äpfel apple; Kuchen m Kuchen cake; Salat m Salate salad; Keks m Kekse biscuit;
        Birne f Birnen pear; Orange f Orangen orange; Tomate f Tomaten tomato; Banane f Bananen banana;
        Kartoffel f Kartoffeln potato; Ei n Eier egg; Brötchen n Brötchen bread_roll""",
    "drink": "Kaffee m - coffee; Tee m - tea; Saft m - juice; Milch f - milk; Schokolade f - chocolate; Wasser n - water",
    "book": """Brief m Briefe letter; Roman m Romane novel; Bericht m Berichte report; Geschichte f Geschichten story; Buch n Bücher book; Gedicht n Gedichte poem""",
    "clothes": """Mantel m Mäntel coat; Hut m Hüte hat; Rock m Röcke skirt; Schal m Schals scarf;
        Jacke f Jacken jacket; Mütze f Mützen cap; Bluse f Blusen blouse; Hemd n Hemden shirt; Kleid n Kleider dress""",
    "thing": """Tisch m Tische table; Stuhl m Stühle chair; Schlüssel m Schlüssel key; Koffer m Koffer suitcase;
        Ball m Bälle ball; Regenschirm m Regenschirme umbrella; Lampe f Lampen lamp; Tasche f Taschen bag;
        Flasche f Flaschen bottle; Kamera f Kameras camera; Gitarre f Gitarren guitar; Bild n Bilder picture;
        Computer m Computer computer; Messer n Messer knife; Geschenk n Geschenke present""",
    "machine": "Wagen m Wagen car; Traktor m Traktoren tractor; Fahrrad n Fahrräder bicycle; Boot n Boote boat",
    "animal": """Hund m Hunde dog; Vogel m Vögel bird; Katze f Katzen cat; Kuh f Kühe cow; Maus f Mäuse mouse;
        Ente f Enten duck; Pferd n Pferde horse; Schwein n Schweine pig; Kaninchen n Kaninchen rabbit""",
    "opening": "Schrank m Schränke cupboard; Tür f Türen door; Fenster n Fenster window",
}
ADJECTIVES = {
    "people": "alt old; jung young; freundlich friendly; müde tired; reich rich; berühmt famous",
    "food": "frisch fresh; groß big; klein small; kalt cold",
    "drink": "kalt cold; heiß hot",
    "book": "neu new; alt old; lang long; kurz short; interessant interesting",
    "clothes": "rot red; blau blue; grün green; schwarz black; weiß white; neu new; alt old; schön beautiful",
    "thing": "rot red; blau blue; grün green; schwarz black; weiß white; neu new; alt old; groß big; klein small",
    "animal": "schwarz black; weiß white; groß big; klein small; jung young; alt old",
    "feeling": "müde tired; krank sick; glücklich happy; traurig sad; hungrig hungry; nervös nervous; wütend angry",
}
ADJECTIVES |= {"machine": ADJECTIVES["thing"], "opening": ADJECTIVES["thing"]}
PERSONS_COMPARED = "älter older; jünger younger; größer taller; kleiner shorter; schneller faster; stärker stronger"
THINGS_COMPARED = "älter older; größer bigger; kleiner smaller"

PLACES = """Park m park in in; Garten m garden in in; Supermarkt m supermarket at in; Zoo m zoo at in;
    Bahnhof m station at an; Flughafen m airport at an; Strand m beach on an; Küche f kitchen in in; Schule f school at in;
    Kirche f church in in; Bibliothek f library in in; Fabrik f factory in in; Büro n office in in;
    Museum n museum in in; Restaurant n restaurant in in; Kino n cinema at in; Hotel n hotel in in;
    Krankenhaus n hospital in in; Theater n theatre at in; Dorf n village in in"""

# infinitive, third person, participle, auxiliary | English base, past, gerund | noun groups of the object.
TRANSITIVE = """essen isst gegessen haben | eat ate eating | food
    kaufen kauft gekauft haben | buy bought buying | food clothes thing book machine
    verkaufen verkauft verkauft haben | sell sold selling | food clothes thing machine animal
    suchen sucht gesucht haben | look_for looked_for looking_for | clothes thing animal
    lesen liest gelesen haben | read read reading | book
    schreiben schreibt geschrieben haben | write wrote writing | book
    tragen trägt getragen haben | carry carried carrying | thing
    waschen wäscht gewaschen haben | wash washed washing | clothes machine animal
    reparieren repariert repariert haben | repair repaired repairing | machine opening
    malen malt gemalt haben | paint painted painting | animal people
    holen holt geholt haben | fetch fetched fetching | clothes thing
    füttern füttert gefüttert haben | feed fed feeding | animal
    fotografieren fotografiert fotografiert haben | photograph photographed photographing | animal people
    an|ziehen zieht angezogen haben | put_on put_on putting_on | clothes
    weg|werfen wirft weggeworfen haben | throw_away threw_away throwing_away | clothes thing
    auf|machen macht aufgemacht haben | open opened opening | opening
    zu|machen macht zugemacht haben | close closed closing | opening
    verstecken versteckt versteckt haben | hide hid hiding | thing food"""
# Of these only past and helpers are used: "is finding" is not what people say.
PUNCTUAL = """finden findet gefunden haben | find found finding | clothes thing animal
    verlieren verliert verloren haben | lose lost losing | clothes thing
    vergessen vergisst vergessen haben | forget forgot forgetting | clothes thing book
    sehen sieht gesehen haben | see saw seeing | animal people machine"""
STATIVE = """brauchen braucht gebraucht haben | need needed needing | clothes thing machine book
    haben hat gehabt haben | have had having | animal thing machine clothes"""
MEETING = """besuchen besucht besucht haben | visit visited visiting | people
    treffen trifft getroffen haben | meet met meeting | people
    an|rufen ruft angerufen haben | call called calling | people
    ein|laden lädt eingeladen haben | invite invited inviting | people
    ab|holen holt abgeholt haben | pick_up picked_up picking_up | people
    suchen sucht gesucht haben | look_for looked_for looking_for | people"""
DATIVE = """helfen hilft geholfen haben | help helped helping | people
    danken dankt gedankt haben | thank thanked thanking | people
    zu|hören hört zugehört haben | listen_to listened_to listening_to | people
    folgen folgt gefolgt sein | follow followed following | people
    antworten antwortet geantwortet haben | answer answered answering | people"""
GIVING = """geben gibt gegeben haben | give gave giving | food clothes thing book
    zeigen zeigt gezeigt haben | show showed showing | clothes thing book animal
    bringen bringt gebracht haben | bring brought bringing | food clothes thing book
    schicken schickt geschickt haben | send sent sending | book"""
STAYING = """arbeiten arbeitet gearbeitet haben | work worked working |
    warten wartet gewartet haben | wait waited waiting |
    schlafen schläft geschlafen haben | sleep slept sleeping |
    spielen spielt gespielt haben | play played playing |
    tanzen tanzt getanzt haben | dance danced dancing |
    singen singt gesungen haben | sing sang singing |
    weinen weint geweint haben | cry cried crying |
    lachen lacht gelacht haben | laugh laughed laughing |
    lernen lernt gelernt haben | study studied studying |"""
MOVING = """gehen geht gegangen sein | go went going |
    fahren fährt gefahren sein | drive drove driving |
    laufen läuft gelaufen sein | run ran running |"""
TOGETHER = ["spielen", "tanzen", "singen", "lernen", "arbeiten"]
DRINKING = """trinken trinkt getrunken haben | drink drank drinking |
    bestellen bestellt bestellt haben | order ordered ordering |
    kaufen kauft gekauft haben | buy bought buying |"""
SINGLE = """schwimmen schwimmt geschwommen sein | swim swam swimming |
    wohnen wohnt gewohnt haben | live lived living |
    kommen kommt gekommen sein | come came coming |
    fliegen fliegt geflogen sein | fly flew flying |
    auf|stehen steht aufgestanden sein | get_up got_up getting_up |
    an|kommen kommt angekommen sein | arrive arrived arriving |
    ab|fahren fährt abgefahren sein | leave left leaving |
    beginnen beginnt begonnen haben | begin began beginning |
    werden wird geworden sein | become became becoming |
    dauern dauert gedauert haben | last lasted lasting |
    gehören gehört gehört haben | belong_to belonged_to belonging_to |
    liegen liegt gelegen haben | lie lay lying |
    stehen steht gestanden haben | stand stood standing |
    kosten kostet gekostet haben | cost cost costing |"""

PRONOUNS = (
    Phrase("ich", "mich", "mir", "I", "me", 0, "mein", "I"),
    Phrase("du", "dich", "dir", "you", "you", 1, "dein", "you"),
    Phrase("er", "ihn", "ihm", "he", "him", 2, "sein", "he"),
    Phrase("sie", "sie", "ihr", "she", "her", 2, "ihr", "she"),
    Phrase("wir", "uns", "uns", "we", "us", 3, "unser", "we"),
)
NAMES = tuple(
    Phrase(name, name, name, name, name, 2, own, name)
    for own, names in (("ihr", FEMALE), ("sein", MALE))
    for name in names
)


def entries(text: str, separator: str = ";") -> list[list[str]]:
    return [[word.replace("_", " ") for word in entry.split()] for entry in text.split(separator)]


def _verb(line: str) -> tuple[Verb, tuple[str, ...]]:
    german, english, groups = line.split(" |")
    infinitive, er, participle, auxiliary = german.split()
    prefix, _, stem = infinitive.rpartition("|")
    words = EnglishVerb(*(word.replace("_", " ") for word in english.split()))
    return Verb(prefix, stem, er, participle, auxiliary, words), tuple(groups.split())


def verbs(table: str) -> list[tuple[Verb, tuple[str, ...]]]:
    """Each verb of a table with the noun groups of its object."""
    return [_verb(line) for line in table.splitlines()]


NOUN = {group: [Noun(*entry) for entry in entries(text)] for group, text in NOUNS.items()}
ADJECTIVE = {group: [Adjective(*entry) for entry in entries(text)] for group, text in ADJECTIVES.items()}
SINGLE_VERB = {verb.prefix + verb.stem: verb for verb, _ in verbs(SINGLE)}
