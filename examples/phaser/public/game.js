import * as Phaser from "./phaser.js";

const WIDTH = 640;
const HEIGHT = 360;
const ITEMS = ["sword", "shield", "potion", "crown"];

class Armoury extends Phaser.Scene {
  preload() {
    this.load.atlas("sprites", "assets/sprites.png", "assets/sprites.json");
  }

  create() {
    this.add.rectangle(WIDTH / 2, 148, WIDTH, 8, 0x5a4636);
    this.add.rectangle(WIDTH / 2, HEIGHT - 16, WIDTH, 32, 0x3a3142);

    // A frame's name is the image's id in imgbuild.yaml.
    ITEMS.forEach((item, index) => {
      const x = (WIDTH / ITEMS.length) * (index + 0.5);
      this.add.image(x, 96, "sprites", `item[item=${item}]`);
      this.add.text(x, 164, item, { fontFamily: "Georgia, serif", fontSize: 18, color: "#fff4dc" }).setOrigin(0.5, 0);
    });

    this.anims.create({
      key: "walk",
      frames: this.anims.generateFrameNames("sprites", { prefix: "walk[frame=", suffix: "]", start: 1, end: 6 }),
      frameRate: 8,
      repeat: -1,
    });
    this.add.sprite(WIDTH / 2, 280, "sprites").play("walk");
  }
}

window.game = new Phaser.Game({
  type: Phaser.AUTO,
  parent: "game",
  width: WIDTH,
  height: HEIGHT,
  backgroundColor: "#221d2b",
  scale: { mode: Phaser.Scale.FIT, autoCenter: Phaser.Scale.CENTER_BOTH },
  scene: Armoury,
});
